"""Preconditions of a start and of a ready runtime. Each one that does not hold is reported as an outcome.

Pure, like the plan, which decides what to do about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from controller.api import reasons, runtimes
from controller.backends.observation import Observed
from controller.runtimes import drift
from controller.runtimes.outcome import Kind, Outcome


def to_start(observed: Observed) -> Outcome | None:
    """The blocker of a start; None when the container can be started."""
    return _missing_parent(observed) or _missing_device(observed) or _start_blocker(observed)


def to_run_as_asked(spec: runtimes.RuntimeSpec, observed: Observed) -> Outcome | None:
    """What keeps a started runtime from being ready; None when it runs as its spec asks."""
    return _not_running(observed) or _missing_parent(observed) or _drift(spec, observed)


def _start_blocker(observed: Observed) -> Outcome | None:
    if not observed.start_blockers:
        return None
    reason, message = observed.start_blockers[0]
    return Outcome(_kind(reason), reason, message)


def _missing_parent(observed: Observed) -> Outcome | None:
    if not observed.network.missing_parents:
        return None
    missing = ", ".join(observed.network.missing_parents)
    return Outcome("waiting", reasons.PARENT_MISSING, f"The host has no interface {missing} now: plug it in")


def _missing_device(observed: Observed) -> Outcome | None:
    """A required device that is not plugged in."""
    missing = next((device for device in observed.devices if device.required and not device.path), None)
    if missing is None:
        return None
    detail = f"the device of {missing.name} is missing" if missing.needs_new_container else missing.detail
    return Outcome("waiting", reasons.DEVICE_MISSING, f"{detail}: plug it in")


def _drift(spec: runtimes.RuntimeSpec, observed: Observed) -> Outcome | None:
    """Drift of networks and devices: retried, or waiting for what it depends on."""
    required = {device.name for device in observed.devices if device.required}
    devices = [found for found in drift.device_drift(observed) if _affects_ready(found, required)]
    found = [*drift.network_drift(spec, observed), *devices]
    if not found:
        return None
    if reason := drift.awaited(found):
        return Outcome(_kind(reason), reason, f"The container runs, but {drift.describe(found)}")
    return Outcome("retry", reasons.DETACHED, f"The container does not match the spec: {drift.describe(found)}")


def _affects_ready(drift_found: drift.Drift, required: Collection[str]) -> bool:
    """Whether it keeps the runtime from being ready: a missing device does so only if the spec requires it."""
    return drift_found.awaits != reasons.DEVICE_MISSING or drift_found.name in required


def _not_running(observed: Observed) -> Outcome | None:
    """Why a started runtime is not running."""
    if observed.blocker:
        return Outcome(*observed.blocker)
    if observed.state == "restarting":
        message = f"The program exited ({_end(observed)}) and is restarted"
        return Outcome("retry", reasons.CRASHED, message)
    return None


def _end(observed: Observed) -> str:
    return "out of memory" if observed.oom_killed else f"exit code {observed.exit_code}"


def _kind(reason: str) -> Kind:
    """Stalled for a reason that needs a person, else waiting."""
    return "stalled" if reasons.outcome(reason) == "stalled" else "waiting"


def rival(runtime: runtimes.Runtime, bodies: Iterable[Mapping[str, Any]]) -> str:
    """Another Runtime of the node that keeps this one from its dedicated interface, as a message; "" for none.

    A parent interface is never moved into a container. Of two Runtimes with the same dedicated interface, the older one
    gets it.
    """
    name = runtime.spec.dedicated_interface
    others = [body for body in bodies if not _is_same_device(body, runtime)]
    for body in others:
        spec = body["spec"]
        if any(interface.get("parentInterface") == name for interface in spec.get("interfaces") or ()):
            return f"{name} is a parent interface of {spec['deviceId']}: choose another interface for one of the two"
    older = [body for body in others if _age(body["metadata"]) < _own_age(runtime)]
    for body in older:
        spec = body["spec"]
        if spec.get("dedicatedInterface") == name and spec.get("desiredState", "Running") == "Running":
            return f"{name} belongs to {spec['deviceId']}, which is older: stop that one or choose another interface"
    return ""


def _is_same_device(body: Mapping[str, Any], runtime: runtimes.Runtime) -> bool:
    """Whether it is the Runtime itself, or one with the same deviceId: only one of those ever runs."""
    described, own = body["metadata"], runtime.metadata
    named = (described.get("namespace", ""), body["spec"]["deviceId"])
    return bool(described["uid"] == own.uid or named == (own.namespace, runtime.spec.device_id))


def _age(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return metadata.get("creationTimestamp", ""), metadata["uid"]


def _own_age(runtime: runtimes.Runtime) -> tuple[str, str]:
    return runtime.metadata.creation_timestamp or "", runtime.metadata.uid
