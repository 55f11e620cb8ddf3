"""The Docker side of the facets of a runtime (runtimes/facets). Their order is that of reasons not to start it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from controller.backends.base import Target
from controller.backends.docker.containers import rights
from controller.backends.docker.containers.limits import LimitsFacet
from controller.backends.docker.containers.rights import RightsFacet
from controller.backends.docker.devices.serial_ports import SerialPorts
from controller.backends.docker.networking.attachments import Attachments
from controller.backends.docker.networking.dedicated_interface import DedicatedInterfaces
from controller.backends.docker.networking.observation import NetworkFacet
from controller.backends.docker.parts import HostServices, Parts


class Facets(NamedTuple):
    """One of each per installation."""

    dedicated: DedicatedInterfaces
    network: NetworkFacet
    devices: SerialPorts
    limits: LimitsFacet
    rights: RightsFacet

    def at_creation(self, target: Target, pids_limit: int) -> dict[str, Any]:
        """What the facets add to the HostConfig of a new container (API reference: HostConfig)."""
        return rights.at_creation(self.devices.rules(target.spec), pids_limit)


def assemble(
    parts: Parts, host: HostServices, attachments: Attachments, interface_kind: Callable[[str], str]
) -> Facets:
    """The facets of an installation. ``interface_kind`` returns the kind of a host interface."""
    return Facets(
        dedicated=parts.dedication,
        network=NetworkFacet(parts, attachments, interface_kind),
        devices=SerialPorts(parts.containers, host.devices),
        limits=LimitsFacet(parts.engine, parts.containers),
        rights=RightsFacet(),
    )
