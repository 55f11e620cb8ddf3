"""The host interface that a runtime has for itself, for a field bus: moved into its container and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtimes import Runtime, RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.machinery import conditions
from controller.runtimes.desired import Desired
from controller.runtimes.facets import facet
from controller.runtimes.facets.facet import Drift, Facet, Release
from controller.runtimes.keys import INTERFACE, Need


def needs(spec: RuntimeSpec) -> list[Need]:
    """The interface itself."""
    return [Need(INTERFACE, spec.dedicated_interface)] if spec.dedicated_interface else []


def drift(_spec: RuntimeSpec, observed: Observed) -> list[Drift]:
    """What is wrong with the interface; nothing of the network can be repaired while the backend refuses a start."""
    if not observed.dedicated.fault:
        return []
    awaits = observed.start_blockers[0][0] if observed.start_blockers else ""
    return [Drift("dedicated interface", observed.dedicated.fault, awaits)]


def preparation(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Repair all drift before a start."""
    return (Step.REPAIR_NETWORKS,) if drift(desired.target.spec, observed) else ()


def repair(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Move the interface into the container, or one that is no longer in the spec back to the host."""
    return (Step.REPAIR_NETWORKS,) if facet.is_repairable(drift(desired.target.spec, observed)) else ()


def release(observed: Observed) -> Release | None:
    """Return the interface of a stopped container to the host."""
    message = "Returning the dedicated interface to the host"
    return Release(Step.REPAIR_NETWORKS, message) if observed.dedicated.passed_through else None


FACET = Facet(
    needs=needs,
    drift=drift,
    preparation=preparation,
    repair=repair,
    release=release,
    drift_condition=names.NETWORK_ATTACHED,
)


def rival(runtime: Runtime, bodies: Iterable[Mapping[str, Any]]) -> str:
    """Another Runtime of the node that keeps this one from its dedicated interface, as a message; "" for none.

    A parent interface is never moved into a container. Of two Runtimes with the same dedicated interface, the older one
    gets it.
    """
    name = runtime.spec.dedicated_interface
    others = [body for body in bodies if not _is_same_device(body, runtime) and not _is_removed(body)]
    for body in others:
        spec = body["spec"]
        if any(interface.get("parentInterface") == name for interface in spec.get("interfaces") or ()):
            return f"{name} is a parent interface of {spec['deviceId']}: choose another interface for one of the two"
    older = [body for body in others if _age(body["metadata"]) < _own_age(runtime)]
    for body in older:
        spec = body["spec"]
        # A runtime that is to be stopped gives the interface back, so it keeps nobody from it.
        if spec.get("dedicatedInterface") == name and spec.get("desiredState", "Running") == "Running":
            return f"{name} belongs to {spec['deviceId']}, which is older: stop that one or choose another interface"
    return ""


def _is_removed(body: Mapping[str, Any]) -> bool:
    """Whether all of it is removed, so that it uses nothing; its object may exist until kopf has let it go."""
    deleting = body["metadata"].get("deletionTimestamp") is not None
    return deleting and conditions.of(body, names.READY).get("reason") == reasons.DELETED


def _is_same_device(body: Mapping[str, Any], runtime: Runtime) -> bool:
    """Whether it is the Runtime itself, or one with the same deviceId: only one of those ever runs."""
    described, own = body["metadata"], runtime.metadata
    named = (described.get("namespace", ""), body["spec"]["deviceId"])
    return bool(described["uid"] == own.uid or named == (own.namespace, runtime.spec.device_id))


def _age(metadata: Mapping[str, Any]) -> tuple[str, str]:
    # The uid decides between objects of the same second.
    return metadata.get("creationTimestamp", ""), metadata["uid"]


def _own_age(runtime: Runtime) -> tuple[str, str]:
    return runtime.metadata.creation_timestamp or "", runtime.metadata.uid
