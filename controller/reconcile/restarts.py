"""Why a runtime started again, and how often: its history, counted over containers, engines and hosts.

Each start after the first counts once. Two facts are kept between looks: when the container started, and the engine's
own restart count. The engine's count tells of crashes between two looks; it begins anew with a start by hand, so a
start by hand followed by crashes, all while nobody looked, counts as the crashes only. Pure, but for EngineContact.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.backends import base
from controller.resources import timestamps
from controller.resources.runtime_status import RESTARTS_KEPT, RestartRecord, RuntimeStatus

REQUESTED = "Requested"
REPLACED = "Replaced"
CRASHED = "Crashed"
OUT_OF_MEMORY = "OutOfMemory"
HOST_STARTED = "HostStarted"
DAEMON_RESTARTED = "DaemonRestarted"
STARTED = "Started"
UNKNOWN = "Unknown"

ENGINE_START_SECONDS = 120  # an engine that comes back starts its containers within this time


class EngineContact:
    """When the engine was last reached again after it had been away; None while it never was."""

    def __init__(self) -> None:
        self.returned_at: float | None = None


@dataclass(frozen=True)
class Circumstances:
    """What is known around a start: ``own`` is the cause when this pass made it itself.

    Times are seconds since the epoch; ``watched`` tells that this process saw the runtime before the start.
    """

    own: str = ""
    boot_time: float = 0.0
    engine_returned_at: float | None = None
    watched: bool = False


def starts(previous: RuntimeStatus, observed: base.Observed) -> int:
    """How many starts after the first happened since the previous look."""
    if not observed.started_at or observed.started_at == previous.started_at:
        return 0
    if previous.started_at is None:
        return observed.restart_count
    automatic = observed.restart_count - previous.engine_restart_count
    return automatic if _same_container(previous, observed) and automatic > 0 else 1 + observed.restart_count


def history(
    previous: RuntimeStatus, observed: base.Observed, around: Circumstances
) -> tuple[int, tuple[RestartRecord, ...]]:
    """The cumulative count and the records, newest last, after this look."""
    new = starts(previous, observed)
    if not new:
        return previous.restart_count, previous.restarts
    cause, detail = _cause(previous, observed, around)
    if new > 1:
        detail = f"{detail}; the last of {new} starts".lstrip("; ")
    record = RestartRecord(time=observed.started_at, cause=cause, detail=detail)
    return previous.restart_count + new, (*previous.restarts, record)[-RESTARTS_KEPT:]


def _same_container(previous: RuntimeStatus, observed: base.Observed) -> bool:
    return previous.container_id == observed.container_id


def _cause(previous: RuntimeStatus, observed: base.Observed, around: Circumstances) -> tuple[str, str]:
    if around.own:
        return around.own, ""
    if previous.restart and previous.restart.previous_started_at == previous.started_at:
        return REQUESTED, f"restartedAt {previous.restart.token}"
    if _since(previous, around.boot_time):
        return HOST_STARTED, "The host was started"
    if _same_container(previous, observed) and observed.restart_count > previous.engine_restart_count:
        return _crash(previous, observed)
    return _outside(previous, observed, around)


def _outside(previous: RuntimeStatus, observed: base.Observed, around: Circumstances) -> tuple[str, str]:
    if _by_engine(previous, observed, around.engine_returned_at):
        return DAEMON_RESTARTED, "Docker was restarted"
    if around.watched:
        return STARTED, "Started by hand or by another program"
    return UNKNOWN, "It happened while the controller was away"


def _crash(previous: RuntimeStatus, observed: base.Observed) -> tuple[str, str]:
    """The end was seen when its time is the one already in the status; the engine forgets the code at the start."""
    if observed.finished_at != previous.finished_at:
        return CRASHED, "exit code not seen"
    if previous.out_of_memory:
        return OUT_OF_MEMORY, "killed for lack of memory: raise spec.resources.memory"
    return CRASHED, f"exit code {previous.exit_code}"


def _since(previous: RuntimeStatus, moment: float) -> bool:
    before = timestamps.seconds(previous.started_at)
    return before is not None and before < moment


def _by_engine(previous: RuntimeStatus, observed: base.Observed, returned_at: float | None) -> bool:
    started = timestamps.seconds(observed.started_at)
    if returned_at is None or started is None:
        return False
    return _since(previous, returned_at) and abs(started - returned_at) < ENGINE_START_SECONDS
