"""Infers why a runtime started or stopped, from its observations and their context, such as outages of the engine.

The engine always restarts our containers unless they were stopped explicitly, so an exit without a restart by the
engine means that somebody stopped the container by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from controller.api import restart_causes as causes
from controller.api.runtime_status import PAUSED, RUNNING, RestartRecord, RuntimeStatus
from controller.backends.observation import Observed
from controller.machinery import conditions

ENGINE_START_SECONDS = 120  # a restarted engine starts its containers within this time
NOTICE_SECONDS = 5  # the loss of the engine is noticed within this time

_GOING = (RUNNING, PAUSED)


class Attribution(NamedTuple):
    """A cause (api/restart_causes.py) and its details for the user."""

    cause: str
    detail: str = ""


@dataclass(frozen=True)
class RestartContext:
    """The context of an observation.

    ``now`` is the time of the observation, ``acted_at`` the time of the step that explains it (``own``). Both are wall
    clock times, for display only, because the clock may be set. ``boot_id`` identifies this boot of the host ("" if
    unknown), ``elapsed`` is the seconds since then. ``request`` describes the command that wrote the spec.
    ``stop_requested``: the spec asks for a stop. ``found_stopped``: a step of this pass started a stopped container.
    ``seen_at`` is the time since boot at which this process last observed the container before, None if it did not.
    ``adopted``: the container was created for an earlier object.
    """

    now: float = 0.0
    own: Attribution | None = None
    acted_at: float = 0.0
    request: str = ""
    stop_requested: bool = False
    found_stopped: bool = False
    boot_id: str = ""
    elapsed: float = 0.0
    engine_absence: Absence | None = None
    seen_at: float | None = None
    adopted: bool = False


def why(previous: RuntimeStatus, observed: Observed, context: RestartContext, *, ended: bool) -> Attribution:
    """The cause of the stop, the start, or both between two observations; ``ended``: it stopped in between."""
    if own_cause := _own_cause(previous, observed, context):
        return own_cause
    if _booted_since(previous, context):
        return Attribution(causes.HOST_STARTED, "The host was started")
    return (_of_end if ended else _of_start)(previous, observed, context)


def _own_cause(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> Attribution | None:
    """The cause, if we acted ourselves: in this pass, or in one that a crash of the controller interrupted."""
    if context.own:
        return context.own
    # The intent names the very run that ended: the controller was killed after the restart, before it could report it.
    intent = previous.restart
    if intent and intent.previous_started_at and intent.previous_started_at == previous.started_at:
        return Attribution(causes.REQUESTED, context.request or f"spec.restartedAt {intent.token}")
    if context.stop_requested and not observed.running:
        return Attribution(causes.REQUESTED, context.request or "spec.desiredState is Stopped")
    return None


def _of_end(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> Attribution:
    # First, because the count of the engine is a fact, while an outage at that time is only a hint.
    if restarted_by_engine(previous, observed):
        return _crash(previous, observed)
    if _by_engine(previous, observed, context):
        return Attribution(causes.DAEMON_RESTARTED, "Docker was restarted")
    return _crash(previous, observed) if observed.error else _by_hand(previous, observed, context)


def _of_start(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> Attribution:
    """The cause of a start; usually that of the stop before it."""
    if _by_engine(previous, observed, context):
        return Attribution(causes.DAEMON_RESTARTED, "Docker was restarted")
    if stop := _last_stop(previous):
        return Attribution(stop.cause, stop.detail)
    crashed = restarted_by_engine(previous, observed)
    return _crash(previous, observed) if crashed else _by_hand(previous, observed, context)


def _by_hand(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> Attribution:
    if not same_container(previous, observed):
        return Attribution(causes.BY_HAND, "The container was removed")
    if context.seen_at is not None or context.found_stopped or not observed.running:
        return Attribution(causes.BY_HAND, "" if observed.exit_code is None else f"exit code {observed.exit_code}")
    return Attribution(causes.UNKNOWN, "It happened while the controller was not watching")


def restarted_by_engine(previous: RuntimeStatus, observed: Observed) -> bool:
    """Whether the engine restarted it after a crash."""
    more = observed.restart_count > previous.engine_restart_count
    return same_container(previous, observed) and (observed.state == "restarting" or more)


def _crash(previous: RuntimeStatus, observed: Observed) -> Attribution:
    """The cause of a crash. The status already describes this exit if it has the same ``finished_at``."""
    seen = observed.finished_at == previous.finished_at
    code = previous.exit_code if seen else observed.exit_code
    if previous.out_of_memory if seen else observed.oom_killed:
        return Attribution(causes.OUT_OF_MEMORY, "killed for lack of memory: raise spec.resources.memory")
    detail = "exit code unknown" if code is None else f"exit code {code}"
    missing = _missing(previous)
    return (
        Attribution(missing.cause, f"{detail} while {missing.detail}")
        if missing
        else Attribution(causes.CRASHED, detail)
    )


def _missing(previous: RuntimeStatus) -> Attribution | None:
    """The parent or device that was missing at the previous observation."""
    for (condition, reason), cause in causes.MISSING.items():
        found = conditions.find(previous.conditions, condition)
        if found and found.status == "False" and found.reason == reason:
            return Attribution(cause, found.message)
    return None


def _last_stop(status: RuntimeStatus) -> RestartRecord | None:
    """The last record, if it is a stop: the runtime was not started since."""
    last = status.restarts[-1] if status.restarts else None
    return last if last and last.event == "Stopped" else None


def same_container(previous: RuntimeStatus, observed: Observed) -> bool:
    """Whether the container is the one of the previous observation."""
    return previous.container_id == observed.container_id


def _booted_since(previous: RuntimeStatus, context: RestartContext) -> bool:
    """Whether the host was booted after the previous observation."""
    if not context.boot_id or previous.boot_id is None:
        return False
    later = previous.started_seconds is not None and previous.started_seconds > context.elapsed
    return later or previous.boot_id != context.boot_id


def _by_engine(previous: RuntimeStatus, observed: Observed, context: RestartContext) -> bool:
    """Whether a restart of the engine started it.

    The started container is often observed before the engine's return is noticed, hence the open end of the interval.
    """
    absence, before = context.engine_absence, previous.started_seconds
    if absence is None or before is None or before >= absence.since:
        return False
    # An engine with live-restore stops nothing: it answered that this run goes on, after it was lost.
    if previous.state in _GOING and context.seen_at is not None and context.seen_at > absence.since:
        return False
    # The engine starts again what it stopped itself: this run ended otherwise, or not at all.
    if observed.started_at == previous.started_at:
        return False
    # The start time of a run that is already over is unknown, except that it is before this observation.
    began = context.elapsed if observed.started_seconds is None else observed.started_seconds
    latest = math.inf if absence.until is None else absence.until + ENGINE_START_SECONDS
    return absence.since - NOTICE_SECONDS < began < latest


class Absence(NamedTuple):
    """An outage of the engine in seconds since the host booted; ``until`` is None while it lasts."""

    since: float
    until: float | None = None


class EngineContact:
    """The engine's last outage; ``absence`` is None until the first one."""

    def __init__(self) -> None:
        self.absence: Absence | None = None

    def lost(self, now: float) -> None:
        """Note that the engine stopped responding."""
        self.absence = Absence(now)

    def found(self, now: float) -> None:
        """Note that the engine responds again."""
        # The first contact follows no outage, and a repeated one must not prolong one that has ended.
        if self.absence and self.absence.until is None:
            self.absence = self.absence._replace(until=now)
