"""Attributes the starts and stops that a pass makes itself: their causes are known and not inferred."""

from __future__ import annotations

from controller import names
from controller.api import reasons, runtimes
from controller.api import restart_causes as causes
from controller.api.runtime_status import RuntimeStatus
from controller.backends import base
from controller.backends.observation import Observed
from controller.machinery import conditions
from controller.runtimes import drift
from controller.runtimes.restart_context import Attribution

_WAITED_FOR = {reason: cause for (_, reason), cause in causes.MISSING.items()}


class RestartAttribution:
    """The starts and stops of one pass. ``why`` is their cause, ``began_at`` the time of the step behind them.

    ``request`` describes the command that set the current spec, "" for none. ``found_stopped``: a step started a
    stopped container.
    """

    def __init__(self, runtime: runtimes.Runtime) -> None:
        self._runtime = runtime
        self.request = _request(runtime.metadata.annotations, runtime.status)
        self.why: Attribution | None = None
        self.began_at = 0.0
        self.found_stopped = False

    def begin(self, step: base.Step, observed: Observed, now: float) -> None:
        """Note that a step begins; ``observed`` is the state before it."""
        if step in _STARTING_OR_STOPPING:
            self.began_at = now
            # A start without a cause of its own has that of the step before it.
            self.why = self._why(step, observed) or self.why
            self.found_stopped = step is base.Step.START_CONTAINER

    def _why(self, step: base.Step, observed: Observed) -> Attribution | None:
        spec = self._runtime.spec
        match step:
            case base.Step.REPLACE_CONTAINER | base.Step.FINISH_REPLACEMENT:
                fields = drift.changed_fields(spec, observed.made_from) if observed.made_from else ()
                return Attribution(
                    causes.SPEC_CHANGED, "; ".join(part for part in (", ".join(fields), self.request) if part)
                )
            case base.Step.RESTART_CONTAINER:
                return Attribution(causes.REQUESTED, self.request or f"spec.restartedAt {spec.restarted_at}")
            case base.Step.STOP_CONTAINER:
                return Attribution(causes.REQUESTED, self.request or "spec.desiredState is Stopped")
            case _:
                return self._wait_before()

    def _wait_before(self) -> Attribution | None:
        """What the start waited for; None if nothing blocked it."""
        status = self._runtime.status
        ready = conditions.find(status.conditions, names.READY)
        if ready is None or status.started_at is None:
            return None
        if ready.reason == reasons.STOPPED:
            return Attribution(causes.REQUESTED, self.request or "spec.desiredState is Running")
        waited_for = _WAITED_FOR.get(ready.reason)
        return Attribution(waited_for, f"start was blocked: {ready.message}") if waited_for else None


_STARTING_OR_STOPPING = (
    base.Step.START_CONTAINER,
    base.Step.STOP_CONTAINER,
    base.Step.RESTART_CONTAINER,
    base.Step.REPLACE_CONTAINER,
    base.Step.FINISH_REPLACEMENT,
)


def _request(annotations: dict[str, str], status: RuntimeStatus) -> str:
    """Topic and command of the annotation; "" if that command took effect earlier."""
    topic, _, command = annotations.get(names.REQUESTED_BY, "").partition(" ")
    # The annotation stays on the object: a later change by a person must not be attributed to that command.
    return f"{topic}, command {command}" if command and command != status.last_command else ""


def last_command(runtime: runtimes.Runtime) -> str | None:
    """The command that last wrote the object; None if no command did."""
    return runtime.metadata.annotations.get(names.REQUESTED_BY, "").partition(" ")[2] or None
