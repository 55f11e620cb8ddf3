"""Desired interfaces for the tests of this package."""

from __future__ import annotations

from typing import Any

from controller.api import runtimes
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState

MAC = "02:00:00:00:00:0a"


def static(address: str = "10.1.0.10", *, name: str = "lan0", parent: str = "eth0", **more: Any) -> DesiredInterface:
    """An interface with a static address."""
    given = {"name": name, "parentInterface": parent, "mode": "Static", "address": address, "subnet": "10.1.0.0/24"}
    return DesiredInterface(runtimes.Interface.model_validate({**given, **more}), MAC)


def leased(state: LeaseState = NOT_KEPT, **more: Any) -> DesiredInterface:
    """An interface that gets its address by DHCP."""
    given = {"name": "lan0", "parentInterface": "eth0", "mode": "Dhcp", **more}
    return DesiredInterface(runtimes.Interface.model_validate(given), MAC, 7, state)
