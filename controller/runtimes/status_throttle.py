"""Limits the status writes of a crash loop or of a flapping health: a burst of two, then one every ten seconds. No I/O.

Passes still follow every crash, because each start needs its networks repaired. Between writes, and while the API
accepts none, the newest status is kept here, so no record is lost while this process lives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.api import restart_causes as causes
from controller.api.runtime_status import RuntimeStatus

WRITE_INTERVAL_SECONDS = 10.0
BURST = 2  # one crash is two writes: the exit of the program and its start
IDLE_SECONDS = 60.0

_CRASH_CAUSES = (causes.CRASHED, causes.OUT_OF_MEMORY, *causes.MISSING.values())
# Others wait for these fields, or they must survive this process: a change of them is always written.
_IMMEDIATE_FIELDS = (
    "node",
    "observed_generation",
    "applied_generation",
    "failed_generation",
    "container_id",
    "image",
    "restart",
)

_HEALTH_FIELDS = ("health", "conditions", "operation", "error")


@dataclass
class _Budget:
    """The writes left to one runtime at the time ``at``; ``held`` is the status that waits for the next write."""

    writes: float
    at: float
    held: RuntimeStatus | None = None


class StatusThrottle:
    """The budgets of all Runtimes by uid; ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}

    def held(self, uid: str) -> RuntimeStatus | None:
        """The newest status, if the API still has an older one."""
        budget = self._budgets.get(uid)
        return budget.held if budget else None

    def hold(self, uid: str, current: RuntimeStatus, new: RuntimeStatus) -> float:
        """Keep ``new`` if it may not be written yet; the seconds until it may, 0 for now."""
        if not self._may_wait(current, new):
            return 0.0
        budget = self._budget(uid)
        if budget.writes >= 1:
            return 0.0
        # The newest replaces the one before it: it contains the records of both.
        budget.held = new
        return (1 - budget.writes) * WRITE_INTERVAL_SECONDS

    def keep(self, uid: str, new: RuntimeStatus) -> None:
        """Keep ``new``, which the API did not accept, until it is written."""
        self._budget(uid).held = new

    def forget(self, uid: str) -> None:
        """Drop the budget and the held status of a Runtime that is gone."""
        self._budgets.pop(uid, None)

    def written(self, uid: str, current: RuntimeStatus, new: RuntimeStatus) -> None:
        """Note that ``new`` replaced ``current``, whether or not ``hold`` was called before."""
        if self._may_wait(current, new):
            budget = self._budget(uid)
            budget.writes = max(0.0, budget.writes - 1)
        if uid in self._budgets:
            self._budgets[uid].held = None

    def throttled(self, uid: str) -> bool:
        """Whether the next write after a crash would have to wait."""
        return uid in self._budgets and self._budget(uid).writes < 1

    def _may_wait(self, current: RuntimeStatus, new: RuntimeStatus) -> bool:
        known = set(current.restarts)  # a search in the tuple compares each record with all before it
        new_records = [record for record in new.restarts if record not in known]
        if not new_records:
            return _only_health_differs(current, new)
        if any(record.cause not in _CRASH_CAUSES for record in new_records):
            return False
        return all(getattr(current, name) == getattr(new, name) for name in _IMMEDIATE_FIELDS)

    def _budget(self, uid: str) -> _Budget:
        now = self._clock()
        # A held status is never dropped here: nothing else knows its records.
        self._budgets = {key: kept for key, kept in self._budgets.items() if kept.held or now - kept.at < IDLE_SECONDS}
        budget = self._budgets.setdefault(uid, _Budget(BURST, now))
        budget.writes = min(BURST, budget.writes + (now - budget.at) / WRITE_INTERVAL_SECONDS)
        budget.at = now
        return budget


def _only_health_differs(current: RuntimeStatus, new: RuntimeStatus) -> bool:
    """Whether only the health changed; with the same health, only timestamps may differ.

    The image chooses the interval of the health check, so a program could flap its health a thousand times a second.
    """
    if current == new or current.model_copy(update={name: getattr(new, name) for name in _HEALTH_FIELDS}) != new:
        return False
    return current.health != new.health or _timeless(current) == _timeless(new)


def _timeless(status: RuntimeStatus) -> list[tuple[str, str, str]]:
    return [(condition.type, condition.status, condition.message) for condition in status.conditions]
