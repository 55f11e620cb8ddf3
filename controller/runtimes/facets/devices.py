"""The serial ports: attached and detached while the program runs, if its container may open them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtime_status import RuntimeStatus, SerialPortStatus
from controller.api.runtimes import RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed, ObservedDevice
from controller.runtimes.desired import Desired
from controller.runtimes.facets import facet
from controller.runtimes.facets.facet import Drift, Facet, Finding
from controller.runtimes.keys import Need
from controller.runtimes.outcome import Outcome, Report, of_reason

SERIAL_DEVICE = "serial device"


def needs(spec: RuntimeSpec) -> list[Need]:
    """The devices."""
    return [Need(SERIAL_DEVICE, port.device_id) for port in spec.serial_ports]


def blocker(observed: Observed) -> Outcome | None:
    """A required device that is not plugged in, or is one of several with its name."""
    missing = next((device for device in observed.devices if device.required and not device.path), None)
    if missing is None:
        return None
    if missing.awaits == reasons.DEVICE_AMBIGUOUS:
        return of_reason(missing.awaits, missing.detail)
    # The detail would ask for another container, which helps nobody while the device is away.
    detail = f"the device of {missing.name} is missing" if missing.needs_new_container else missing.detail
    return of_reason(reasons.DEVICE_MISSING, f"{detail}: plug it in")


def drift(_spec: RuntimeSpec, observed: Observed) -> list[Drift]:
    """The ports that do not match the spec."""
    return [
        Drift(device.name, device.detail, device.awaits, _affects_ready(device))
        for device in observed.devices
        if not device.in_order
    ]


def _affects_ready(device: ObservedDevice) -> bool:
    """Whether it keeps the runtime from being ready: a missing device does so only if the spec requires it."""
    return device.awaits != reasons.DEVICE_MISSING or device.required


def expires(observed: Observed) -> bool:
    """Whether a port needs access that only a new container can get.

    A running container is never replaced for this: serial ports are documented to change in place.
    """
    return any(device.needs_new_container for device in observed.devices)


def repair(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Place the nodes of plugged-in devices, and remove all others."""
    return (Step.ATTACH_DEVICES,) if facet.is_repairable(drift(desired.target.spec, observed)) else ()


def status(_previous: RuntimeStatus, report: Report, observed: Observed) -> dict[str, Any]:
    """Every port of the spec; leftovers of a removed port show only in the condition."""
    desired = {port.name for port in report.target.spec.serial_ports}
    ports = tuple(
        SerialPortStatus(name=device.name, device_path=device.path, attached=device.in_order, message=device.detail)
        for device in observed.devices
        if device.name in desired
    )
    return {"serial_ports": ports}


def condition(_report: Report, observed: Observed, found: Sequence[Drift]) -> Finding | None:
    """DevicesAttached, of a runtime that has serial ports or had some."""
    if not observed.devices:
        return None
    if found:
        reason = facet.awaited(found) or found[0].awaits or reasons.DETACHED
        return Finding(names.DEVICES_ATTACHED, "False", reason, facet.describe(found))
    return Finding(names.DEVICES_ATTACHED, "True", reasons.ATTACHED, "All serial ports match the spec")


FACET = Facet(
    spec_fields=frozenset({"serial_ports"}),
    needs=needs,
    blocker=blocker,
    drift=drift,
    expires=expires,
    repair=repair,
    status=status,
    status_fields=("serial_ports",),
    condition=condition,
    drift_condition=names.DEVICES_ATTACHED,
)
