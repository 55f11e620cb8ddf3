"""Counts restarts and records starts and stops, across new containers and restarts of engine and host. Pure.

Each start after the first counts once. Two facts are kept between observations: the start time of the container and the
engine's restart count. The engine's count reveals crashes between two observations; a start by hand resets it, so a
start by hand followed by crashes, all unobserved, counts the crashes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.api import restart_causes
from controller.api.runtime_status import (
    PAUSED,
    RESTARTING,
    RESTARTS_KEPT,
    RUNNING,
    RestartRecord,
    RuntimeStatus,
    state_name,
)
from controller.backends.observation import Observed
from controller.machinery import timestamps
from controller.runtimes import restart_context
from controller.runtimes.restart_context import Attribution, RestartContext

DETAIL_LIMIT = 1024
_GOING = (RUNNING, PAUSED)
_UP = (*_GOING, RESTARTING)


@dataclass(frozen=True)
class History:
    """The cumulative count, the records (newest last), and the last restart."""

    count: int
    records: tuple[RestartRecord, ...]
    last_restart: RestartRecord | None


def starts(previous: RuntimeStatus, observed: Observed) -> int:
    """The number of restarts since the previous observation."""
    if not observed.started_at or observed.started_at == previous.started_at:
        return 0
    if previous.started_at is None:
        # The first start is no restart; what the engine counted since is.
        return observed.restart_count
    automatic = observed.restart_count - previous.engine_restart_count
    return (
        automatic
        if restart_context.same_container(previous, observed) and automatic > 0
        else 1 + observed.restart_count
    )


def history(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> History:
    """The history after this observation; several starts since the previous one become one record with their number."""
    new, ended = starts(previous, observed), _ended(previous, observed, context)
    # A run that started and exited unobserved: its start follows the exit before it, its own exit has another cause.
    unobserved = bool(new) and ended and observed.state == "exited"
    why = Attribution(restart_causes.UNKNOWN)
    if new or ended:
        why = restart_context.why(previous, observed, context, ended=ended and not unobserved)
    found = []
    if ended:
        end = _cause_of_exit(previous, observed, context) if unobserved else why
        found.append(_record(_end_time(observed, context), "Stopped", end))
    last = previous.last_restart
    if new:
        detail = f"{why.detail}; the last of {new} starts".lstrip("; ") if new > 1 else why.detail
        last = _record(observed.started_at, "Started", Attribution(why.cause, detail))
        found.append(last)
    elif previous.started_at is None and observed.started_at and not context.adopted:
        found.append(_record(observed.started_at, "Started", Attribution(restart_causes.CREATED, context.request)))
    # The newest run is over: its start precedes its end, whatever their times say.
    if state_name(observed.state) not in _GOING:
        found.reverse()
    return History(previous.restart_count + new, (*previous.restarts, *found)[-RESTARTS_KEPT:], last)


def _ended(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> bool:
    """Whether the run in the status ended; later runs up to this observation are recorded as starts only."""
    if previous.started_at is None:
        return False
    if restart_context.same_container(previous, observed):
        changed = bool(observed.finished_at) and observed.finished_at != previous.finished_at
        if not _is_over(previous):
            return changed
        # A failed start by the engine gives the same exit a new time; we may start it before observing that.
        ours = context.found_stopped and not restart_context.restarted_by_engine(previous, observed)
        return changed and observed.started_at != previous.started_at and not ours
    return previous.state in _UP


def _cause_of_exit(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> Attribution:
    """The cause of the exit of an unobserved run, which the engine started but did not restart."""
    started = previous.model_copy(update={"engine_restart_count": observed.restart_count})
    return restart_context.why(started, observed, context, ended=True)


def _is_over(previous: RuntimeStatus) -> bool:
    """Whether the end of the run that began at ``started_at`` was observed."""
    return previous.state not in _GOING


def _end_time(observed: Observed, context: RestartContext) -> str:
    """The end of the run; for a removed container the time of our step or of this observation."""
    return observed.finished_at or timestamps.rfc3339_micro(context.acted_at or context.now)


def _record(time: str, event: Literal["Started", "Stopped"], why: Attribution) -> RestartRecord:
    return RestartRecord(time=time, event=event, cause=why.cause, detail=why.detail[:DETAIL_LIMIT])
