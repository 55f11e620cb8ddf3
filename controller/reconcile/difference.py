"""What of a spec is not in effect on a container: pure comparisons, the plan decides what follows.

A container is compared with the spec it was made from, parsed by today's model, so that a default which a new
version brings compares equal; what can change in place is compared with what stands.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.backends import base
from controller.resources import quantities, reasons, runtimes

# The rest changes in place.
_MADE_FROM = {"image", "version", "digest", "env", "volumes", "realtime", "interfaces", "serial_ports"}


def needs_new_container(spec: runtimes.RuntimeSpec, made_from: runtimes.RuntimeSpec) -> bool:
    """Whether a field differs that no engine can change on a container that exists (the image apart)."""
    return _fixed_at_creation(spec) != _fixed_at_creation(made_from)


def _fixed_at_creation(spec: runtimes.RuntimeSpec) -> tuple[object, ...]:
    return (
        {variable.name: (variable.value, variable.value_from) for variable in spec.env},
        {volume.name: (volume.mount_path, volume.read_only) for volume in spec.volumes},
        spec.realtime if spec.realtime.enabled else None,
    )


def changed_fields(spec: runtimes.RuntimeSpec, made_from: runtimes.RuntimeSpec) -> tuple[str, ...]:
    """The fields that differ of those which a container is made from, as paths.

    Entries of a list are told by name, and never a value, for it may be secret.
    """
    wished, stands = (whole.model_dump(mode="json", by_alias=True, include=_MADE_FROM) for whole in (spec, made_from))
    return tuple(sorted(_changed("spec", wished, stands)))


def _changed(path: str, wished: object, stands: object) -> list[str]:
    if wished == stands:
        return []
    if isinstance(wished, dict) and isinstance(stands, dict):
        fields = wished.keys() | stands.keys()
        return [found for name in fields for found in _changed(f"{path}.{name}", wished.get(name), stands.get(name))]
    if (ours := _by_name(wished)) is not None and (theirs := _by_name(stands)) is not None:
        return [f"{path}[{name}]" for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    return [path]


def _by_name(value: object) -> dict[str, object] | None:
    """The entries of a list of named ones; None of anything else."""
    if not isinstance(value, list):
        return None
    return {entry["name"]: entry for entry in value if isinstance(entry, dict) and "name" in entry}


def resources_differ(wished: runtimes.Resources, actual: runtimes.Resources) -> bool:
    """Whether the limits differ as numbers ("500m" is "0.5")."""
    return _limits(wished) != _limits(actual)


def _limits(resources: runtimes.Resources) -> tuple[int, int]:
    return quantities.nano_cpus(resources.cpu), quantities.memory_bytes(resources.memory)


class Disorder(NamedTuple):
    """One interface that is not as the spec asks; ``awaits`` is the reason when no step of ours can mend it now."""

    name: str
    detail: str
    awaits: str = ""


def disorders(spec: runtimes.RuntimeSpec, observed: base.Observed) -> list[Disorder]:
    """Everything about the networks that is not as the spec asks."""
    standing = {interface.name: interface for interface in observed.interfaces}
    found = [
        Disorder(wished.name, detail, _awaited(wished, interface, observed))
        for wished in spec.interfaces
        if (detail := _fault(interface := standing.pop(wished.name, None)))
    ]
    found += [Disorder(name, f"{name} is not in the spec") for name in standing]
    if observed.dedicated_fault:
        awaits = observed.obstacles[0][0] if observed.obstacles else ""
        found.append(Disorder("dedicated interface", observed.dedicated_fault, awaits))
    if not observed.internal_attached:
        found.append(Disorder("internal", "the internal network is not attached"))
    return found


def _fault(interface: base.ObservedInterface | None) -> str:
    if interface is None:
        return "it does not exist"
    if not interface.attached:
        return f"{interface.name} is not attached"
    return "" if interface.in_order else interface.detail or f"{interface.name} is not as the spec asks"


def device_disorders(observed: base.Observed) -> list[Disorder]:
    """Every serial port that is not as the spec asks."""
    return [Disorder(device.name, device.detail, device.awaits) for device in observed.devices if not device.in_order]


def needs_rights(observed: base.Observed) -> bool:
    """Whether a serial port of the spec needs a container that is made for it."""
    return any(device.needs_new_container for device in observed.devices)


def _awaited(wished: runtimes.Interface, interface: base.ObservedInterface | None, observed: base.Observed) -> str:
    if wished.parent_interface in observed.missing_parents:
        return reasons.PARENT_MISSING
    return interface.awaits if interface else ""


def repairable(found: list[Disorder]) -> bool:
    """Whether anything can be mended now; an interface whose parent is missing waits for it."""
    return any(not disorder.awaits for disorder in found)


def awaited(found: list[Disorder]) -> str:
    """The reason for which all disorders stand that no step can mend, "" when one can be mended."""
    return "" if not found or repairable(found) else found[0].awaits


def summary(spec: runtimes.RuntimeSpec, observed: base.Observed) -> str:
    """Everything about networks and devices that is not as the spec asks, in one sentence; "" for nothing."""
    return describe([*disorders(spec, observed), *device_disorders(observed)])


def describe(found: list[Disorder]) -> str:
    """The disorders in one sentence."""
    return "; ".join(f"{disorder.name}: {disorder.detail}" for disorder in found)
