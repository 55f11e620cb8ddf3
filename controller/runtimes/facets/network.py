"""The interfaces on the plant's LAN and the internal network: both are repaired on the existing container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtime_status import InterfaceStatus, RuntimeStatus
from controller.api.runtimes import Interface, RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed, ObservedInterface
from controller.runtimes.desired import Desired
from controller.runtimes.facets import facet
from controller.runtimes.facets.facet import Drift, Facet, Finding
from controller.runtimes.keys import INTERFACE, Need
from controller.runtimes.outcome import Outcome, Report, of_reason


def needs(spec: RuntimeSpec) -> list[Need]:
    """The parent interfaces."""
    return [Need(INTERFACE, interface.parent_interface) for interface in spec.interfaces]


def missing(observed: Observed) -> Outcome | None:
    """A parent interface that the host does not have."""
    if not observed.network.missing_parents:
        return None
    absent = ", ".join(observed.network.missing_parents)
    return of_reason(reasons.PARENT_MISSING, f"The host has no interface {absent} now: plug it in")


def drift(spec: RuntimeSpec, observed: Observed) -> list[Drift]:
    """Interfaces of the spec that do not match, others that are attached, and a missing internal network."""
    attached = {interface.name: interface for interface in observed.network.interfaces}
    found = [
        Drift(desired.name, detail, _awaited(desired, interface, observed))
        for desired in spec.interfaces
        if (detail := _fault(interface := attached.pop(desired.name, None)))
    ]
    # The comprehension above has removed those of the spec.
    found += [Drift(name, f"{name} is not in the spec") for name in attached]
    if not observed.network.internal_attached:
        found.append(Drift("internal", "the internal network is not attached"))
    return found


def _fault(interface: ObservedInterface | None) -> str:
    if interface is None:
        return "it does not exist"
    if not interface.attached:
        return f"{interface.name} is not attached"
    return "" if interface.in_order else interface.detail or f"{interface.name} does not match the spec"


def _awaited(desired: Interface, interface: ObservedInterface | None, observed: Observed) -> str:
    if desired.parent_interface in observed.network.missing_parents:
        return reasons.PARENT_MISSING
    return interface.awaits if interface else ""


def replaces(desired: Desired, observed: Observed, made_from: RuntimeSpec) -> bool:
    """Whether the interfaces changed and the backend cannot change them on this container."""
    spec = desired.target.spec
    return not desired.in_place and spec.interfaces != made_from.interfaces and bool(drift(spec, observed))


def preparation(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Repair all drift before a start: Docker would start with the interfaces that it remembers."""
    return (Step.REPAIR_NETWORKS,) if drift(desired.target.spec, observed) else ()


def repair(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Repair what does not have to wait for the host."""
    return (Step.REPAIR_NETWORKS,) if facet.is_repairable(drift(desired.target.spec, observed)) else ()


def status(previous: RuntimeStatus, report: Report, observed: Observed) -> dict[str, Any]:
    """The internal address, and every interface of the spec; a missing one keeps its MAC address for its return."""
    known = {interface.name: interface for interface in previous.interfaces}
    known |= {interface.name: _status(interface) for interface in observed.network.interfaces}
    interfaces = tuple(known[desired.name] for desired in report.target.spec.interfaces if desired.name in known)
    return {"internal_ip": observed.network.internal_ip or None, "interfaces": interfaces}


def _status(interface: ObservedInterface) -> InterfaceStatus:
    return InterfaceStatus(
        name=interface.name,
        address=interface.address,
        mac_address=interface.mac_address,
        gateway=interface.gateway,
        lease=interface.lease,
    )


def condition(_report: Report, observed: Observed, found: Sequence[Drift]) -> Finding | None:
    """NetworkAttached, of a running program only: a stopped container has no interfaces."""
    # Its links died with its namespace, which is no fault.
    if not observed.running:
        return None
    if found:
        reason = facet.awaited(found) or reasons.DETACHED
        return Finding(names.NETWORK_ATTACHED, "False", reason, facet.describe(found))
    if remarked := [interface for interface in observed.network.interfaces if interface.remark]:
        message = f"{remarked[0].name}: {reasons.meaning(remarked[0].remark)}"
        return Finding(names.NETWORK_ATTACHED, "True", remarked[0].remark, message)
    return Finding(names.NETWORK_ATTACHED, "True", reasons.ATTACHED, "All interfaces match the spec")


FACET = Facet(
    spec_fields=frozenset({"interfaces"}),
    needs=needs,
    blocker=missing,
    missing=missing,
    drift=drift,
    replaces=replaces,
    preparation=preparation,
    repair=repair,
    status=status,
    status_fields=("internal_ip", "interfaces"),
    condition=condition,
    drift_condition=names.NETWORK_ATTACHED,
)
