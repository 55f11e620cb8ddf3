"""Why a runtime started or stopped: from what was seen of it, and what was known around it.

A container of ours is always started again by the engine unless it was told to stop, so an end that the engine did
not follow up was somebody's doing. Pure, but for EngineContact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from controller import names
from controller.api import reasons
from controller.api import restart_causes as causes
from controller.api.runtime_status import RestartRecord, RuntimeStatus
from controller.backends import base
from controller.machinery import conditions

ENGINE_START_SECONDS = 120  # an engine that comes back starts its containers within this time
NOTICE_SECONDS = 5  # that an engine went away is noticed within this time

# What was missing when the program ended, by the condition and the reason that told so.
_MISSING = (
    (names.NETWORK_ATTACHED, reasons.PARENT_MISSING, causes.PARENT_GONE),
    (names.DEVICES_ATTACHED, reasons.DEVICE_MISSING, causes.DEVICE_GONE),
)


class Attribution(NamedTuple):
    """A cause (api/restart_causes.py), and what a person wants to know of it."""

    cause: str
    detail: str = ""


class Absence(NamedTuple):
    """When the engine was away, in seconds since the host's boot; ``until`` is None while it is."""

    since: float
    until: float | None = None


class EngineContact:
    """When the engine was away the last time; None while it never was."""

    def __init__(self) -> None:
        self.absence: Absence | None = None

    def lost(self, now: float) -> None:
        """It went away."""
        self.absence = Absence(now)

    def found(self, now: float) -> None:
        """It answers."""
        if self.absence and self.absence.until is None:
            self.absence = self.absence._replace(until=now)


@dataclass(frozen=True)
class RestartContext:
    """What is known around a look at a runtime.

    ``now`` is the time of the observation, ``acted_at`` when the step began that explains it (``own``); both by the
    time of day, for people only. ``boot_id`` names this boot of the host, "" where it has none, ``elapsed`` the seconds
    since then. ``request`` names the command that wrote the spec; ``stop_requested``: the spec asks for a stop.
    ``found_stopped``: a step of this pass started a stopped container. ``watched``: this process observed the container
    before. ``adopted``: the container was made for
    an earlier object.
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
    watched: bool = False
    adopted: bool = False


def why(previous: RuntimeStatus, observed: base.Observed, around: RestartContext, *, ended: bool) -> Attribution:
    """Why it stopped, started, or both, between two looks; ``ended``: it ran at the previous one."""
    if observed_cause := _observed_cause(previous, observed, around):
        return observed_cause
    if _booted_since(previous, around):
        return Attribution(causes.HOST_STARTED, "The host was started")
    return (_of_end if ended else _of_start)(previous, observed, around)


def _observed_cause(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> Attribution | None:
    """What we did ourselves, in this pass or in one that a crash of the controller broke off."""
    if around.own:
        return around.own
    intent = previous.restart
    if intent and intent.previous_started_at and intent.previous_started_at == previous.started_at:
        return Attribution(causes.REQUESTED, around.request or f"spec.restartedAt {intent.token}")
    if around.stop_requested and not observed.running:
        return Attribution(causes.REQUESTED, around.request or "spec.desiredState is Stopped")
    return None


def _of_end(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> Attribution:
    if again_by_itself(previous, observed):
        return _crash(previous, observed)
    if _by_engine(previous, observed, around):
        return Attribution(causes.DAEMON_RESTARTED, "Docker was restarted")
    return _crash(previous, observed) if observed.error else _by_hand(previous, observed, around)


def _of_start(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> Attribution:
    """The cause of a start is, as a rule, that of the stop before it."""
    if _by_engine(previous, observed, around):
        return Attribution(causes.DAEMON_RESTARTED, "Docker was restarted")
    if stop := _last_stop(previous):
        return Attribution(stop.cause, stop.detail)
    crashed = again_by_itself(previous, observed)
    return _crash(previous, observed) if crashed else _by_hand(previous, observed, around)


def _by_hand(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> Attribution:
    if not same_container(previous, observed):
        return Attribution(causes.BY_HAND, "The container was removed")
    if around.watched or around.found_stopped or not observed.running:
        return Attribution(causes.BY_HAND, "" if observed.exit_code is None else f"exit code {observed.exit_code}")
    return Attribution(causes.UNKNOWN, "It happened while the controller was away")


def again_by_itself(previous: RuntimeStatus, observed: base.Observed) -> bool:
    """Whether the engine started it again after a crash."""
    more = observed.restart_count > previous.engine_restart_count
    return same_container(previous, observed) and (observed.state == "restarting" or more)


def _crash(previous: RuntimeStatus, observed: base.Observed) -> Attribution:
    """The end was seen when its time is the one already in the status."""
    seen = observed.finished_at == previous.finished_at
    code = previous.exit_code if seen else observed.exit_code
    if previous.out_of_memory if seen else observed.oom_killed:
        return Attribution(causes.OUT_OF_MEMORY, "killed for lack of memory: raise spec.resources.memory")
    detail = "exit code not seen" if code is None else f"exit code {code}"
    missing = _missing(previous)
    return (
        Attribution(missing.cause, f"{detail} while {missing.detail}")
        if missing
        else Attribution(causes.CRASHED, detail)
    )


def _missing(previous: RuntimeStatus) -> Attribution | None:
    """What was missing when it was last looked at."""
    for condition, observed_cause, cause in _MISSING:
        found = conditions.find(previous.conditions, condition)
        if found and found.status == "False" and found.reason == observed_cause:
            return Attribution(cause, found.message)
    return None


def _last_stop(status: RuntimeStatus) -> RestartRecord | None:
    """The stop that the runtime has not been started after."""
    last = status.restarts[-1] if status.restarts else None
    return last if last and last.event == "Stopped" else None


def same_container(previous: RuntimeStatus, observed: base.Observed) -> bool:
    """Whether the container is the one of the previous look."""
    return previous.container_id == observed.container_id


def _booted_since(previous: RuntimeStatus, around: RestartContext) -> bool:
    """Whether the host was booted after the previous look."""
    if not around.boot_id or previous.boot_id is None:
        return False
    later = previous.started_seconds is not None and previous.started_seconds > around.elapsed
    return later or previous.boot_id != around.boot_id


def _by_engine(previous: RuntimeStatus, observed: base.Observed, around: RestartContext) -> bool:
    """It is often seen started before it is known that the engine is back."""
    absence, before = around.engine_absence, previous.started_seconds
    if absence is None or before is None or before >= absence.since:
        return False
    if observed.started_at == previous.started_at:
        return False
    # Of a run that is over already, only that it began before this look is known.
    began = around.elapsed if observed.started_seconds is None else observed.started_seconds
    latest = math.inf if absence.until is None else absence.until + ENGINE_START_SECONDS
    return absence.since - NOTICE_SECONDS < began < latest
