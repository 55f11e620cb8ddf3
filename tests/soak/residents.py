"""Runtimes that nobody touches: whatever happens around them, they run on, with their address and MAC."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from tests.soak.deliveries import Deliveries
from tests.soak.site import Site
from tests.soak.work import PATIENCE_SECONDS, STARTED
from tests.support.edge_host import eventually

STATIC = 4
FIRST_HOST = 10
LEASED = "resident-dhcp"
LOOK_SECONDS = 1.0


class Residents:
    """A few runtimes with static addresses and one with a lease."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._deliveries = Deliveries(site)
        self._addresses = {f"resident-{n}": site.lan.address(FIRST_HOST + n) for n in range(STATIC)}
        self._macs: dict[str, str] = {}
        self._containers: dict[str, tuple[str, str]] = {}
        self._silent_since: dict[str, float] = {}

    @property
    def names(self) -> set[str]:
        """The names of their containers."""
        return set(self._containers)

    async def create(self) -> None:
        """Create them, and remember who they are once they run and answer."""
        lan = self._site.lan
        common = {"parent_interface": lan.parent, "name": "lan0"}
        for name, address in self._addresses.items():
            static = {**common, "network_mode": "static", "ip": address, "subnet": str(lan.subnet)}
            await self._deliveries.send("create_new_runtime", container_name=name, vnic_configs=[static])
        dhcp = {**common, "network_mode": "dhcp"}
        await self._deliveries.send("create_new_runtime", container_name=LEASED, vnic_configs=[dhcp])
        for name in [*self._addresses, LEASED]:
            await self._remember(name)

    async def watch(self) -> None:
        """Look at them until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Compare each with what it was."""
        for name, before in self._containers.items():
            now = await self._site.ask(partial(_identity, name))
            if now != before:
                self._site.findings.fault(f"{name} was restarted or replaced: {before} -> {now}")
                self._containers[name] = now
            await self._listen(name)

    async def judge(self) -> None:
        """Look for the last time, when everything has calmed down: each runs, started once, and answers the cloud."""
        await self.look()
        for name in self._containers:
            log = await self._site.ask(partial(_log, name))
            if log.count(STARTED) != 1:
                self._site.findings.fault(f"{name} started {log.count(STARTED)} times")
            answer = await self._deliveries.send("get_device_status", device_id=name)
            if answer["status"] != "success" or not answer["is_running"]:
                self._site.findings.fault(f"{name} runs, but the cloud gets {answer}")
            if not await asyncio.to_thread(self._site.lan.mac_of, self._addresses[name]):
                self._site.findings.fault(f"{name} does not answer on the LAN at the end")

    async def _remember(self, name: str) -> None:
        async def running() -> Any:
            answer = await self._deliveries.send("get_device_status", device_id=name)
            return answer if answer.get("is_running") and answer["status"] == "success" else None

        answer = await eventually(running, f"{name} runs", seconds=PATIENCE_SECONDS)
        self._addresses.setdefault(name, answer["networks"]["lan0"]["ip_address"])
        self._containers[name] = await self._site.ask(partial(_identity, name))
        mac = await asyncio.to_thread(self._site.lan.mac_of, self._addresses[name], seconds=20)
        assert mac, f"{name} does not answer on the LAN"
        self._macs[name] = mac

    async def _listen(self, name: str) -> None:
        """One ARP request from the LAN."""
        began, since = time.monotonic(), self._site.lan_since
        mac = await asyncio.to_thread(self._site.lan.mac_of, self._addresses[name], seconds=2)
        self._site.findings.count("ARP requests to runtimes")
        if mac is not None and mac != self._macs[name]:
            self._site.findings.fault(f"{name} has the MAC {mac} on the LAN, not {self._macs[name]}")
        undisturbed = since is not None and since == self._site.lan_since and began > since
        if mac is not None or not undisturbed:
            self._silent_since.pop(name, None)
        elif name not in self._silent_since:
            self._silent_since[name] = began
            self._site.findings.fault(f"{name} does not answer on the LAN")


def _identity(name: str, client: Any) -> tuple[str, str]:
    container = client.inspect_container(name)
    return container["Id"], container["State"]["StartedAt"]


def _log(name: str, client: Any) -> bytes:
    log: bytes = client.logs(name)
    return log
