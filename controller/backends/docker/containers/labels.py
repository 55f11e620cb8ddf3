"""Labels that mark a container, network or volume as ours, and record how a container was created. Pure.

An object is ours only with our install id. A container must also have a name that we assign, because foreign
containers inherit our labels from an image made from one of ours (`docker commit`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from controller import errors, names
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Identity, Target

INTERNAL, LAN = "internal", "lan"
_UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class ContainerProvenance:
    """What a container was created with besides the spec, as its labels record."""

    image: str
    image_source: str
    mac_addresses: Mapping[str, str]
    previous_image: str = ""
    pulled: bool = False
    realtime: bool = True


def of_install(install_id: str) -> dict[str, str]:
    """Labels of every object of this installation."""
    return {names.MANAGED_LABEL: names.MANAGED_VALUE, names.INSTALL_LABEL: install_id}


def of_identity(identity: Identity) -> dict[str, str]:
    """Labels of the objects of one runtime."""
    return of_install(identity.install_id) | {
        names.NAMESPACE_LABEL: identity.namespace,
        names.DEVICE_LABEL: identity.device_id,
    }


def of_container(target: Target, provenance: ContainerProvenance) -> dict[str, str]:
    """Labels of a new container. Sets every label of ours, because a missing one would be inherited from the image."""
    return of_identity(target.identity) | {
        **base.record(target, provenance.image, provenance.image_source),
        names.MAC_LABEL: json.dumps(dict(provenance.mac_addresses), sort_keys=True, separators=(",", ":")),
        names.PREVIOUS_IMAGE_LABEL: provenance.previous_image,
        names.PULLED_LABEL: "true" if provenance.pulled else "false",
        names.REALTIME_LABEL: "available" if provenance.realtime else _UNAVAILABLE,
    }


def of_internal(identity: Identity) -> dict[str, str]:
    """Labels of a runtime's internal network."""
    return of_identity(identity) | {names.ROLE_LABEL: INTERNAL}


def of_lan(install_id: str) -> dict[str, str]:
    """Labels of a LAN network, which runtimes share."""
    return of_install(install_id) | {names.ROLE_LABEL: LAN}


def is_lan(labels: Mapping[str, str], install_id: str) -> bool:
    """Whether the labels are those of a LAN network of this installation."""
    return all(labels.get(name) == value for name, value in of_lan(install_id).items())


def selector(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """The engine's list filter for objects with all these labels."""
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def identity_of(labels: Mapping[str, str] | None, install_id: str) -> Identity | None:
    """The identity of the runtime that owns the object, None when it is not ours."""
    labels = labels or {}
    ours = of_install(install_id)
    if any(labels.get(name) != value for name, value in ours.items()):
        return None
    namespace, device_id = labels.get(names.NAMESPACE_LABEL, ""), labels.get(names.DEVICE_LABEL, "")
    return Identity(install_id, namespace, device_id) if namespace and device_id else None


def taken_message(labels: Mapping[str, str], install_id: str) -> str:
    """The error message for a Runtime whose container name this container of ours has; "" when it is not ours."""
    identity = identity_of(labels, install_id)
    if identity is None:
        return ""
    runtime = f"Runtime {identity.namespace}/{labels.get(names.NAME_LABEL) or identity.device_id}"
    return f"{runtime} owns the container {identity.device_id}: change the deviceId of one of the two"


def require_owner(labels: Mapping[str, str] | None, identity: Identity, what: str) -> None:
    """Raise errors.Stalled(NAME_TAKEN) when another runtime of ours owns the object.

    Names contain only 48 bits of a hash, so that two runtimes may collide.
    """
    # A volume without our labels was created by a person, and is used.
    other = identity_of(labels, identity.install_id)
    if other is not None and other != identity:
        message = f"The {what} belongs to {other.namespace}/{other.device_id}: change the deviceId of one of the two"
        raise errors.Stalled(reasons.NAME_TAKEN, message)


def parents(labels: Mapping[str, str]) -> set[str]:
    """The parent interfaces of the spec that a container was created from."""
    spec = base.made_from(labels)
    return {interface.parent_interface for interface in spec.interfaces} if spec else set()


def mac_addresses(labels: Mapping[str, str]) -> dict[str, str]:
    """Interface name -> MAC address, as recorded at creation."""
    # Anybody may create a container with labels like ours: a damaged one must not end an observation.
    try:
        found = json.loads(labels.get(names.MAC_LABEL, "{}"))
    except ValueError:
        return {}
    return {str(name): str(mac) for name, mac in found.items()} if isinstance(found, dict) else {}


def provenance(labels: Mapping[str, str]) -> ContainerProvenance:
    """How a container was created, to recreate it unchanged."""
    return ContainerProvenance(
        image=labels.get(names.IMAGE_LABEL, ""),
        image_source=labels.get(names.IMAGE_SOURCE_LABEL, ""),
        mac_addresses=mac_addresses(labels),
        previous_image=labels.get(names.PREVIOUS_IMAGE_LABEL, ""),
        pulled=labels.get(names.PULLED_LABEL) == "true",
        realtime=labels.get(names.REALTIME_LABEL) != _UNAVAILABLE,
    )


def previous_name(identity: Identity) -> str:
    """The name of the old container that a replacement keeps until the new one runs."""
    return f"edge-previous-{_short(*identity)}"


def is_name_of(name: str, identity: Identity) -> bool:
    """Whether we assign this name to a container of the runtime."""
    return name in (identity.device_id, previous_name(identity))


def internal_network_name(identity: Identity) -> str:
    """The name of a runtime's internal network."""
    return f"edge-{_short(*identity)}"


def lan_network_name(install_id: str, parent: str, subnet: IPv4Network) -> str:
    """The name of the network for one subnet on one parent interface."""
    return f"edge-lan-{_short(install_id, parent, str(subnet))}"


def is_lan_name(name: str) -> bool:
    """Whether the name is that of a LAN network of ours."""
    return name.startswith("edge-lan-")


def volume_name(identity: Identity, name: str) -> str:
    """The name of a runtime's volume; the same after delete and create."""
    return f"edge-{_short(*identity)}-{name}"


def _short(*parts: str) -> str:
    # Never change this: existing objects are found by these names. NUL occurs in no part, so no two lists of parts join
    # to the same text.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
