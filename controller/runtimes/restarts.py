"""How often a runtime started again, and the record of its starts and stops, over containers, engines and hosts.

Each start after the first counts once. Two facts are kept between looks: when the container started, and the engine's
own restart count. The engine's count tells of crashes between two looks; it begins anew with a start by hand, so a
start by hand followed by crashes, all while nobody looked, counts as the crashes only. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.api import restart_causes
from controller.api.runtime_status import RESTARTS_KEPT, RestartRecord, RuntimeStatus
from controller.backends import base
from controller.machinery import timestamps
from controller.runtimes import restart_context
from controller.runtimes.restart_context import Attribution, RestartContext

DETAIL_LIMIT = 1024
_GOING = ("running", "paused")
_UP = (*_GOING, "restarting")


@dataclass(frozen=True)
class History:
    """The cumulative count, the records (newest last), and the newest start after the first."""

    count: int
    records: tuple[RestartRecord, ...]
    last_restart: RestartRecord | None


def starts(previous: RuntimeStatus, observed: base.Observed) -> int:
    """How many starts after the first happened since the previous look."""
    if not observed.started_at or observed.started_at == previous.started_at:
        return 0
    if previous.started_at is None:
        return observed.restart_count
    automatic = observed.restart_count - previous.engine_restart_count
    return (
        automatic
        if restart_context.same_container(previous, observed) and automatic > 0
        else 1 + observed.restart_count
    )


def history(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> History:
    """What is known after this look; several starts since the previous one are one record that says how many."""
    new, ended = starts(previous, observed), _ended(previous, observed, around)
    why = (
        restart_context.why(previous, observed, around, ended=ended)
        if new or ended
        else Attribution(restart_causes.UNKNOWN)
    )
    found = [_record(_end_time(observed, around), "Stopped", why)] if ended else []
    last = previous.last_restart
    if new:
        detail = f"{why.detail}; the last of {new} starts".lstrip("; ") if new > 1 else why.detail
        last = _record(observed.started_at, "Started", Attribution(why.cause, detail))
        found.append(last)
    elif previous.started_at is None and observed.started_at and not around.adopted:
        found.append(_record(observed.started_at, "Started", Attribution(restart_causes.CREATED, around.request)))
    if observed.state not in _GOING:  # the newest run is over: its start came before its end, whatever their times say
        found.reverse()
    return History(previous.restart_count + new, (*previous.restarts, *found)[-RESTARTS_KEPT:], last)


def _ended(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> bool:
    """Whether a run that the status knows of ended; every run after it, up to a look, counts as started only."""
    if previous.started_at is None:
        return False
    if restart_context.same_container(previous, observed):
        changed = bool(observed.finished_at) and observed.finished_at != previous.finished_at
        if not _is_over(previous):
            return changed
        # An engine that fails to start it dates the same end another time; we may start it before that was seen.
        ours = around.found_stopped and not restart_context.again_by_itself(previous, observed)
        return changed and observed.started_at != previous.started_at and not ours
    return previous.state in _UP


def _is_over(known: RuntimeStatus) -> bool:
    """Whether the end of the run that began at ``started_at`` was seen."""
    return known.state not in _GOING


def _end_time(observed: base.Observed, around: RestartContext) -> str:
    """When it ended; of a container that is gone only the time of our step, or of this look, is known."""
    return observed.finished_at or timestamps.rfc3339_micro(around.acted_at or around.now)


def _record(time: str, event: Literal["Started", "Stopped"], why: Attribution) -> RestartRecord:
    return RestartRecord(time=time, event=event, cause=why.cause, detail=why.detail[:DETAIL_LIMIT])
