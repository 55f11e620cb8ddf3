"""What the backend uses of the host beside the engine: leases, the LAN's addresses, lent interfaces, serial devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.devices.serial import SerialDevice
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.keeper import LeaseKeeper
from controller.network.lending import Lending
from controller.state import LENT


@dataclass(frozen=True)
class Host:
    """``leases`` keeps those of interfaces with mode Dhcp, ``guard`` watches over addresses on the LAN, ``lending``
    moves interfaces into containers and back, ``devices`` tells which serial devices there are now.
    """

    leases: LeaseKeeper
    guard: AddressGuard
    lending: Lending
    devices: Callable[[], tuple[SerialDevice, ...]]


def onlooker(state: Path) -> Host:
    """For commands beside a controller that runs or not: they ask the engine, and give the host back what is its own.

    ``state`` is the controller's state directory.
    """
    return Host(LeaseKeeper(Path("/nonexistent")), AddressGuard(enabled=False), Lending(state / LENT), tuple)
