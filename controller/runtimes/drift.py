"""Finds differences between a spec and a container. Pure: the plan decides what to do about them.

Fields that are fixed at creation are compared with the spec the container was made from, parsed by the current model:
a default added by a newer version then compares equal. Fields that can change in place are compared with what is
observed.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.api import quantities, reasons, runtimes
from controller.backends.observation import Observed, ObservedInterface

# Only these fields may explain a replacement; all others change in place.
_MADE_FROM = {"image", "version", "digest", "env", "volumes", "realtime", "interfaces", "serial_ports"}


def needs_new_container(spec: runtimes.RuntimeSpec, made_from: runtimes.RuntimeSpec) -> bool:
    """Whether a field other than the image differs that no engine can change on an existing container."""
    return _fixed_at_creation(spec) != _fixed_at_creation(made_from)


def _fixed_at_creation(spec: runtimes.RuntimeSpec) -> tuple[object, ...]:
    return (
        {variable.name: (variable.value, variable.value_from) for variable in spec.env},
        {volume.name: (volume.mount_path, volume.read_only) for volume in spec.volumes},
        spec.realtime if spec.realtime.enabled else None,
    )


def changed_fields(spec: runtimes.RuntimeSpec, made_from: runtimes.RuntimeSpec) -> tuple[str, ...]:
    """Paths of the changed fields that require another container.

    List entries are identified by name. Values are left out because they may be secret.
    """
    desired, made_with = (
        whole.model_dump(mode="json", by_alias=True, include=_MADE_FROM) for whole in (spec, made_from)
    )
    return tuple(sorted(_changed("spec", desired, made_with)))


def _changed(path: str, desired: object, made_with: object) -> list[str]:
    if desired == made_with:
        return []
    if isinstance(desired, dict) and isinstance(made_with, dict):
        fields = desired.keys() | made_with.keys()
        return [
            found for name in fields for found in _changed(f"{path}.{name}", desired.get(name), made_with.get(name))
        ]
    if (ours := _by_name(desired)) is not None and (theirs := _by_name(made_with)) is not None:
        return [f"{path}[{name}]" for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    return [path]


def _by_name(value: object) -> dict[str, object] | None:
    """The entries of a list by their names; None if ``value`` is no list."""
    if not isinstance(value, list):
        return None
    return {entry["name"]: entry for entry in value if isinstance(entry, dict) and "name" in entry}


def resources_differ(desired: runtimes.Resources, actual: runtimes.Resources) -> bool:
    """Whether the limits differ numerically ("500m" equals "0.5")."""
    return _limits(desired) != _limits(actual)


def _limits(resources: runtimes.Resources) -> tuple[int, int]:
    return quantities.nano_cpus(resources.cpu), quantities.memory_bytes(resources.memory)


class Drift(NamedTuple):
    """One interface or device that differs from the spec.

    ``awaits`` is the reason that has to go away before any step can repair it; "" when a step can repair it now.
    """

    name: str
    detail: str
    awaits: str = ""


def network_drift(spec: runtimes.RuntimeSpec, observed: Observed) -> list[Drift]:
    """All drift of the networks."""
    attached = {interface.name: interface for interface in observed.network.interfaces}
    found = [
        Drift(desired.name, detail, _awaited(desired, interface, observed))
        for desired in spec.interfaces
        if (detail := _fault(interface := attached.pop(desired.name, None)))
    ]
    found += [Drift(name, f"{name} is not in the spec") for name in attached]
    if observed.dedicated.fault:
        awaits = observed.start_blockers[0][0] if observed.start_blockers else ""
        found.append(Drift("dedicated interface", observed.dedicated.fault, awaits))
    if not observed.network.internal_attached:
        found.append(Drift("internal", "the internal network is not attached"))
    return found


def _fault(interface: ObservedInterface | None) -> str:
    if interface is None:
        return "it does not exist"
    if not interface.attached:
        return f"{interface.name} is not attached"
    return "" if interface.in_order else interface.detail or f"{interface.name} does not match the spec"


def device_drift(observed: Observed) -> list[Drift]:
    """All drift of the serial ports."""
    return [Drift(device.name, device.detail, device.awaits) for device in observed.devices if not device.in_order]


def needs_rights(observed: Observed) -> bool:
    """Whether a serial port of the spec needs device access that only a new container can get."""
    return any(device.needs_new_container for device in observed.devices)


def _awaited(desired: runtimes.Interface, interface: ObservedInterface | None, observed: Observed) -> str:
    if desired.parent_interface in observed.network.missing_parents:
        return reasons.PARENT_MISSING
    return interface.awaits if interface else ""


def repairable(found: list[Drift]) -> bool:
    """Whether a step can repair any of it now; an interface without its parent has to wait."""
    return any(not one.awaits for one in found)


def awaited(found: list[Drift]) -> str:
    """The reason that blocks the repair of all of it; "" when some of it can be repaired now."""
    return "" if not found or repairable(found) else found[0].awaits


def summary(spec: runtimes.RuntimeSpec, observed: Observed) -> str:
    """All drift of networks and devices in one sentence; "" without drift."""
    return describe([*network_drift(spec, observed), *device_drift(observed)])


def describe(found: list[Drift]) -> str:
    """The drift in one sentence."""
    return "; ".join(f"{one.name}: {one.detail}" for one in found)
