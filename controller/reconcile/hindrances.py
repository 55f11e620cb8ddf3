"""What stands in the way of a start, and of a runtime that runs as its spec asks, each as the outcome to tell.

Pure, like the plan that asks. It names what hinders; what is done about it the plan decides.
"""

from __future__ import annotations

from collections.abc import Collection

from controller.backends import base
from controller.reconcile import difference
from controller.reconcile.outcome import Kind, Outcome
from controller.resources import reasons, runtimes


def to_start(observed: base.Observed) -> Outcome | None:
    """What keeps a container from being started now, if anything."""
    return _missing_parent(observed) or _missing_device(observed) or _obstacle(observed)


def to_run_as_asked(spec: runtimes.RuntimeSpec, observed: base.Observed) -> Outcome | None:
    """What keeps a runtime that was started from running as its spec asks, if anything."""
    return _not_running(observed) or _missing_parent(observed) or _disorder(spec, observed)


def _obstacle(observed: base.Observed) -> Outcome | None:
    if not observed.obstacles:
        return None
    reason, message = observed.obstacles[0]
    return Outcome(_kind(reason), reason, message)


def _missing_parent(observed: base.Observed) -> Outcome | None:
    if not observed.missing_parents:
        return None
    missing = ", ".join(observed.missing_parents)
    return Outcome("waiting", reasons.PARENT_MISSING, f"The host has no interface {missing} now: plug it in")


def _missing_device(observed: base.Observed) -> Outcome | None:
    """A device without which the runtime shall not be started."""
    missing = next((device for device in observed.devices if device.required and not device.path), None)
    if missing is None:
        return None
    detail = f"the device of {missing.name} is not there" if missing.needs_new_container else missing.detail
    return Outcome("waiting", reasons.DEVICE_MISSING, f"{detail}: plug it in")


def _disorder(spec: runtimes.RuntimeSpec, observed: base.Observed) -> Outcome | None:
    """What is wrong with networks and devices: something to try again, or to wait for."""
    required = {device.name for device in observed.devices if device.required}
    devices = [found for found in difference.device_disorders(observed) if _counts(found, required)]
    found = [*difference.disorders(spec, observed), *devices]
    if not found:
        return None
    if reason := difference.awaited(found):
        return Outcome(_kind(reason), reason, f"It runs, but {difference.describe(found)}")
    return Outcome("retry", reasons.DETACHED, f"Not everything is in order: {difference.describe(found)}")


def _counts(disorder: difference.Disorder, required: Collection[str]) -> bool:
    """A device that is not plugged in keeps a runtime from being ready only where the spec requires it."""
    return disorder.awaits != reasons.DEVICE_MISSING or disorder.name in required


def _not_running(observed: base.Observed) -> Outcome | None:
    """Why a runtime that was started does not run."""
    if observed.hindrance:
        return Outcome(*observed.hindrance)
    if observed.state == "restarting":
        message = f"The program ended by itself ({_end(observed)}); it is started again"
        return Outcome("retry", reasons.CRASHED, message)
    return None


def _end(observed: base.Observed) -> str:
    return "out of memory" if observed.oom_killed else f"exit code {observed.exit_code}"


def _kind(reason: str) -> Kind:
    """A reason that a person has to see to is stalled; everything else is waited for."""
    return "stalled" if reasons.outcome(reason) == "stalled" else "waiting"
