"""The lease of a container on the test's LAN: its owner, its client, and waiting for its states."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller.network import addresses
from controller.network.dhcp.client import Link
from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager, LeaseState
from controller.network.dhcp.requests import Client

KEY = LeaseKey("edge", "plc-1", "lan0")
MAC = "02:ab:00:00:00:31"
CLIENT = Client(addresses.mac_bytes(MAC), "plc-1")


async def until(manager: LeaseManager, link: Link, wanted: Callable[[LeaseState], bool]) -> LeaseState:
    """Wait for a state of the lease."""
    async with asyncio.timeout(30):
        changes = manager.changes()
        while not wanted(manager.lease_state(KEY, link)):
            await anext(changes)
        return manager.lease_state(KEY, link)


def has_lease(lease_state: LeaseState) -> bool:
    """Return whether there is a lease."""
    return lease_state.lease is not None


async def changes_until_the_end(manager: LeaseManager, link: Link) -> list[str]:
    """Return what each reported change is about."""
    reported = []
    async for _ in manager.changes():
        reported.append("a lease" if manager.lease_state(KEY, link).kept else "the end")
        if reported[-1] == "the end":
            break
    return reported
