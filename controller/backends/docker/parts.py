"""The objects that the parts of the Docker backend share: one of each per installation, and the host's services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.networking.address_registry import AddressRegistry
from controller.backends.docker.networking.dedicated_interface import DedicatedInterfaces
from controller.backends.docker.networking.dhcp_leases import DhcpLeases
from controller.backends.docker.networking.networks import Networks
from controller.devices.serial_device import SerialDevice
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.interface_passthrough import InterfacePassthrough
from controller.network.interfaces import HostInterfaces
from controller.network.parents import Parents
from controller.state import PASSTHROUGH


@dataclass(frozen=True)
class HostServices:
    """``leases`` renews the leases of interfaces with mode Dhcp, ``guard`` detects address conflicts on the LAN,
    ``passthrough`` moves interfaces into containers and back, ``devices`` lists the serial devices of the host.
    """

    leases: LeaseManager
    guard: AddressGuard
    passthrough: InterfacePassthrough
    devices: Callable[[], tuple[SerialDevice, ...]]


@dataclass(frozen=True)
class Parts:
    """The shared objects; they cache what they observed."""

    engine: Engine
    containers: Containers
    networks: Networks
    address_registry: AddressRegistry
    leasing: DhcpLeases
    dedication: DedicatedInterfaces
    parents: Parents


def assemble(
    engine: Engine,
    install_id: str,
    internal_pool: IPv4Network,
    host: HostServices,
    parents: Parents | None,
    *,
    dedicate_addressed: bool,
) -> Parts:
    """Create the parts of an installation without calling the engine."""
    containers, networks = Containers(engine), Networks(engine, install_id, internal_pool)
    interfaces = HostInterfaces(internal_pool)
    return Parts(
        engine=engine,
        containers=containers,
        networks=networks,
        address_registry=AddressRegistry(host.guard),
        leasing=DhcpLeases(host.leases),
        dedication=DedicatedInterfaces(
            host.passthrough,
            networks,
            partial(interfaces.snapshot, include_virtual=True),
            addressed=dedicate_addressed,
        ),
        parents=parents or Parents(install_id, is_internal=interfaces.is_internal),
    )


def read_only(state: Path) -> HostServices:
    """Services for commands that run beside a controller: they query the engine, and can end a passthrough.

    ``state`` is the controller's state directory.
    """
    return HostServices(
        # The controller beside us owns its leases, and defends the addresses on the LAN.
        LeaseManager(Path("/nonexistent")),
        AddressGuard(enabled=False),
        InterfacePassthrough(state / PASSTHROUGH),
        tuple,
    )
