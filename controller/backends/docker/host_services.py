"""The host services that the backend uses beside the engine: leases, address guard, passthrough, serial devices."""

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
    """``leases`` renews the leases of interfaces with mode Dhcp, ``guard`` detects address conflicts on the LAN,
    ``passthrough`` moves interfaces into containers and back, ``devices`` lists the serial devices of the host.
    """

    leases: LeaseManager
    guard: AddressGuard
    passthrough: InterfacePassthrough
    devices: Callable[[], tuple[SerialDevice, ...]]


def read_only(state: Path) -> HostServices:
    """Services for commands that run beside a controller: they query the engine, and can end a passthrough.

    ``state`` is the controller's state directory.
    """
    return HostServices(
        LeaseManager(Path("/nonexistent")),
        AddressGuard(enabled=False),
        InterfacePassthrough(state / PASSTHROUGH),
        tuple,
    )
