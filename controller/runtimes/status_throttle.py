"""How often the status of a crash loop, or of a health that swings, is written: twice at once, then once in ten
seconds. No I/O.

Passes go on at every crash, for each start needs its networks put in order. What they find is kept here between the
writes, and while the API takes none, so that no record is lost as long as this process lives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.api import restart_causes as causes
from controller.api.runtime_status import RuntimeStatus

EVERY_SECONDS = 10.0
AT_ONCE = 2  # the end of a program that crashed once, and its start
FORGOTTEN_SECONDS = 60.0

_BY_ITSELF = (causes.CRASHED, causes.OUT_OF_MEMORY, causes.PARENT_GONE, causes.DEVICE_GONE)
# What others wait for, or what must survive this process: it is written whenever it changes.
_PROMPT = ("node", "observed_generation", "applied_generation", "failed_generation", "container_id", "image", "restart")

_OF_HEALTH = ("health", "conditions", "operation", "error")


@dataclass
class _Budget:
    """The writes that one runtime may make now, as of ``at``; ``held`` is the status that waits for the next."""

    writes: float
    at: float
    held: RuntimeStatus | None = None


class StatusThrottle:
    """The paces of all Runtimes, by uid; ``clock`` in seconds, never set."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}

    def held(self, uid: str) -> RuntimeStatus | None:
        """The newest status, where the API has an older one yet."""
        budget = self._budgets.get(uid)
        return budget.held if budget else None

    def hold(self, uid: str, current: RuntimeStatus, new: RuntimeStatus) -> float:
        """Keep ``new`` when it may not be written yet; in how many seconds it may, 0 for now."""
        if not self._may_wait(current, new):
            return 0.0
        budget = self._budget(uid)
        if budget.writes >= 1:
            return 0.0
        budget.held = new
        return (1 - budget.writes) * EVERY_SECONDS

    def keep(self, uid: str, new: RuntimeStatus) -> None:
        """Keep ``new``, which the API did not take, until it is written."""
        self._budget(uid).held = new

    def forget(self, uid: str) -> None:
        """The Runtime is gone, and nobody asks for its status any more."""
        self._budgets.pop(uid, None)

    def written(self, uid: str, current: RuntimeStatus, new: RuntimeStatus) -> None:
        """``new`` is written over ``current``, whether the pace was asked or not."""
        if self._may_wait(current, new):
            budget = self._budget(uid)
            budget.writes = max(0.0, budget.writes - 1)
        if uid in self._budgets:
            self._budgets[uid].held = None

    def throttled(self, uid: str) -> bool:
        """Whether the next write of a crash would have to wait."""
        return uid in self._budgets and self._budget(uid).writes < 1

    def _may_wait(self, current: RuntimeStatus, new: RuntimeStatus) -> bool:
        news = [record for record in new.restarts if record not in current.restarts]
        if not news:
            return _only_health_differs(current, new)
        if any(record.cause not in _BY_ITSELF for record in news):
            return False
        return all(getattr(current, name) == getattr(new, name) for name in _PROMPT)

    def _budget(self, uid: str) -> _Budget:
        now = self._clock()
        self._budgets = {
            key: kept for key, kept in self._budgets.items() if kept.held or now - kept.at < FORGOTTEN_SECONDS
        }
        budget = self._budgets.setdefault(uid, _Budget(AT_ONCE, now))
        budget.writes = min(AT_ONCE, budget.writes + (now - budget.at) / EVERY_SECONDS)
        budget.at = now
        return budget


def _only_health_differs(current: RuntimeStatus, new: RuntimeStatus) -> bool:
    """A program answers its own health check, which an image may have asked a thousand times a second.

    Where the health is what it was, only times may differ.
    """
    if current == new or current.model_copy(update={name: getattr(new, name) for name in _OF_HEALTH}) != new:
        return False
    return current.health != new.health or _timeless(current) == _timeless(new)


def _timeless(status: RuntimeStatus) -> list[tuple[str, str, str]]:
    return [(condition.type, condition.status, condition.message) for condition in status.conditions]
