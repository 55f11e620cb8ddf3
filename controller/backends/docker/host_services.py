"""What the backend uses of the host beside the engine: leases, the LAN's addresses, lent interfaces, serial devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.devices.serial import SerialDevice
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.interface_passthrough import InterfacePassthrough
from controller.state import PASSTHROUGH


@dataclass(frozen=True)
class HostServices:
    """``leases`` keeps those of interfaces with mode Dhcp, ``guard`` watches over addresses on the LAN, ``passthrough``
    moves interfaces into containers and back, ``devices`` tells which serial devices there are now.
    """

    leases: LeaseManager
    guard: AddressGuard
    passthrough: InterfacePassthrough
    devices: Callable[[], tuple[SerialDevice, ...]]


def read_only(state: Path) -> HostServices:
    """For commands beside a controller that runs or not: they ask the engine, and give the host back what is its own.

    ``state`` is the controller's state directory.
    """
    return HostServices(
        LeaseManager(Path("/nonexistent")),
        AddressGuard(enabled=False),
        InterfacePassthrough(state / PASSTHROUGH),
        tuple,
    )
