"""What the backend uses of the host beside the engine: leases, the LAN's addresses, serial devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.devices.serial import SerialDevice
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.keeper import LeaseKeeper


@dataclass(frozen=True)
class Host:
    """``leases`` keeps those of interfaces with mode Dhcp, ``guard`` watches over addresses on the LAN, ``devices``
    tells which serial devices there are now.
    """

    leases: LeaseKeeper
    guard: AddressGuard
    devices: Callable[[], tuple[SerialDevice, ...]]


def onlooker() -> Host:
    """For commands that ask the engine only, beside a controller that runs or not."""
    return Host(LeaseKeeper(Path("/nonexistent")), AddressGuard(enabled=False), tuple)
