"""What stands in the way of a start, and of a runtime that runs as its spec asks, each as the outcome to tell.

Pure, like the plan that asks. It names what hinders; what is done about it the plan decides.
"""

from __future__ import annotations

from collections.abc import Collection

from controller.api import reasons, runtimes
from controller.backends import base
from controller.runtimes import drift
from controller.runtimes.outcome import Kind, Outcome


def to_start(observed: base.Observed) -> Outcome | None:
    """What keeps a container from being started now, if anything."""
    return _missing_parent(observed) or _missing_device(observed) or _obstacle(observed)


def to_run_as_asked(spec: runtimes.RuntimeSpec, observed: base.Observed) -> Outcome | None:
    """What keeps a runtime that was started from running as its spec asks, if anything."""
    return _not_running(observed) or _missing_parent(observed) or _drift(spec, observed)


def _obstacle(observed: base.Observed) -> Outcome | None:
    if not observed.start_blockers:
        return None
    reason, message = observed.start_blockers[0]
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


def _drift(spec: runtimes.RuntimeSpec, observed: base.Observed) -> Outcome | None:
    """What is wrong with networks and devices: something to try again, or to wait for."""
    required = {device.name for device in observed.devices if device.required}
    devices = [found for found in drift.device_drift(observed) if _counts(found, required)]
    found = [*drift.network_drift(spec, observed), *devices]
    if not found:
        return None
    if reason := drift.awaited(found):
        return Outcome(_kind(reason), reason, f"It runs, but {drift.describe(found)}")
    return Outcome("retry", reasons.DETACHED, f"Not everything is in order: {drift.describe(found)}")


def _counts(drift_found: drift.Drift, required: Collection[str]) -> bool:
    """A device that is not plugged in keeps a runtime from being ready only where the spec requires it."""
    return drift_found.awaits != reasons.DEVICE_MISSING or drift_found.name in required


def _not_running(observed: base.Observed) -> Outcome | None:
    """Why a runtime that was started does not run."""
    if observed.blocker:
        return Outcome(*observed.blocker)
    if observed.state == "restarting":
        message = f"The program ended by itself ({_end(observed)}); it is started again"
        return Outcome("retry", reasons.CRASHED, message)
    return None


def _end(observed: base.Observed) -> str:
    return "out of memory" if observed.oom_killed else f"exit code {observed.exit_code}"


def _kind(reason: str) -> Kind:
    """A reason that a person has to see to is stalled; everything else is waited for."""
    return "stalled" if reasons.outcome(reason) == "stalled" else "waiting"
