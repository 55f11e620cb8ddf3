"""Repairs the networks of runtimes with DHCP, and waits for states of their interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controller.backends import base
from controller.backends.base import Target
from controller.backends.observation import Observed
from controller.network.dhcp.lease_manager import LeaseManager
from tests.backends.conftest import BackendHarness
from tests.support.lan import Lan


def dhcp(lan: Lan, name: str = "lan0", **more: Any) -> dict[str, Any]:
    """An interface with mode Dhcp."""
    return {"name": name, "parentInterface": lan.parent, **more}


class Controller:
    """Repairs the networks at every change of a lease, as the controller does."""

    def __init__(self, harness: BackendHarness, leases: LeaseManager) -> None:
        self._harness = harness
        self._leases = leases
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Controller:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])

    async def until(self, target: Target, wanted: Callable[[Observed], bool]) -> Observed:
        """The first observation that matches."""
        async with asyncio.timeout(60):
            while True:
                self._changed.clear()
                observed: Observed = await self._harness.backend.observe(target)
                if wanted(observed):
                    return observed
                if any(not found.in_order and not found.awaits for found in observed.network.interfaces):
                    await self._harness.run(target, base.Step.REPAIR_NETWORKS)
                else:
                    await self._changed.wait()

    async def leased(self, target: Target) -> str:
        """The address of the runtime's first interface, once all are in order."""
        return (await self.until(target, in_order)).network.interfaces[0].address

    async def _follow(self) -> None:
        async for _ in self._leases.changes():
            self._changed.set()


def in_order(observed: Observed) -> bool:
    """Whether it runs with all its interfaces in order."""
    return (
        observed.running
        and bool(observed.network.interfaces)
        and all(found.in_order for found in observed.network.interfaces)
    )


def waiting_for(reason: str) -> Callable[[Observed], bool]:
    """Match observations whose first interface waits for this reason."""
    return lambda observed: observed.network.interfaces[0].awaits == reason
