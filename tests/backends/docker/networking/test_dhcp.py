"""Runtimes with DHCP on a real LAN, across restarts of runtime, controller and server."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.observation import Observed
from controller.network import resolver
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.routes import LinkRoute, Route
from tests.backends.conftest import BackendHarness, NewBackend
from tests.backends.inside import links_of, process_of
from tests.support.bare_container import BareContainer
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


@pytest.fixture
def server(lan: Lan, tmp_path: Path) -> Iterator[DhcpServer]:
    """The DHCP server of the LAN."""
    with DhcpServer(lan, tmp_path) as running:
        yield running


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


@pytest.fixture
async def controller(harness: BackendHarness, leases: LeaseManager) -> AsyncIterator[Controller]:
    """Follows the leases of the test's backend."""
    async with Controller(harness, leases) as following:
        yield following


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


async def test_a_runtime_answers_at_its_leased_address(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan, macAddress="02:ab:00:00:00:21")]))

    observed = await controller.until(target, in_order)

    (interface,) = observed.network.interfaces
    assert lan.ping(interface.address)
    assert lan.mac_of(interface.address) == "02:ab:00:00:00:21"
    assert server.given()["02:ab:00:00:00:21"] == (
        interface.address, target.identity.device_id, "01:02:ab:00:00:00:21",
    )  # fmt: skip
    assert interface.lease is not None
    assert (interface.lease.prefix_length, interface.lease.server) == (24, lan.gateway)
    assert interface.gateway == lan.gateway
    assert await asyncio.to_thread(resolver.name_servers, await process_of(harness, target)) == (lan.gateway,)


async def test_a_runtime_with_a_gateway_of_its_own_gets_a_lease(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan, gateway=lan.address(200))]))

    observed = await controller.until(target, in_order)

    (interface,) = observed.network.interfaces
    assert lan.ping(interface.address)
    assert interface.gateway == lan.address(200)


async def test_a_lease_of_a_single_address_reaches_its_gateway(
    harness: BackendHarness, controller: Controller, lan: Lan, tmp_path: Path
) -> None:
    options = f"--dhcp-option=121,172.16.0.0/16,{lan.gateway},0.0.0.0/0,{lan.gateway}"
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:netmask,255.255.255.255", options):
        target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
        observed = await controller.until(target, in_order)
        snapshot = await links_of(harness, target)

    assert lan.ping(observed.network.interfaces[0].address)
    assert snapshot.default_routes == ((lan.gateway, "lan0"),)
    assert snapshot.routes == (LinkRoute(Route(IPv4Network("172.16.0.0/16"), IPv4Address(lan.gateway)), "lan0"),)


async def test_an_address_that_another_machine_has_is_reported_and_not_used(
    harness: BackendHarness, controller: Controller, lan: Lan, tmp_path: Path
) -> None:
    other = BareContainer(lan, "02:ab:00:00:00:22")
    other.take(f"{lan.address(100)}/24")
    try:
        with DhcpServer(lan, tmp_path, first=100, last=100):
            target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
            observed = await controller.until(target, waiting_for(reasons.ADDRESS_CONFLICT))
            assert "the machine 02:ab:00:00:00:22 has it" in observed.network.interfaces[0].detail
            assert (observed.network.interfaces[0].address, observed.start_blockers) == ("", ())
            await asyncio.to_thread(other.end)
            await controller.until(target, in_order)
    finally:
        other.end()


async def test_a_leased_address_in_use_stays_and_the_other_machine_is_named(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer, guard: AddressGuard
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)

    mac = await asyncio.to_thread(lan.take, address)
    await asyncio.to_thread(lan.speak, address)
    async with asyncio.timeout(30):
        await anext(guard.changes())

    (found,) = (await harness.backend.observe(target)).network.interfaces
    assert (found.address, found.awaits) == (address, reasons.ADDRESS_CONFLICT)
    assert mac in found.detail


async def test_the_address_survives_a_restart_of_the_runtime(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)
    mac = (await harness.backend.observe(target)).network.interfaces[0].mac_address

    await harness.run(target, base.Step.RESTART_CONTAINER)

    assert await controller.leased(target) == address
    assert lan.ping(address)
    assert server.requests("DHCPDISCOVER", mac) == 1  # the restart renews the lease instead


async def test_the_address_survives_a_recreation_and_a_server_without_memory(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    desired = harness.target(interfaces=[dhcp(lan)])
    address = await controller.leased(await harness.up(desired))
    await harness.down(desired)
    server.stop()
    server.forget()
    server.start()

    assert await controller.leased(await harness.up(desired)) == address


async def test_another_controller_takes_over_without_losing_the_address(
    harness: BackendHarness,
    leases: LeaseManager,
    controller: Controller,
    lan: Lan,
    server: DhcpServer,
    new_backend: NewBackend,
    tmp_path: Path,
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)
    started = (await harness.backend.observe(target)).started_at
    leases.close()
    server.stop()

    later = LeaseManager(tmp_path / "leases")
    harness.backend = new_backend(harness.install_id, later)
    (found,) = (await harness.backend.observe(target)).network.interfaces
    assert (found.address, found.detail) == (address, "its lease is not kept")
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert lan.ping(address)
    async with Controller(harness, later) as another:
        observed = await another.until(target, in_order)  # the server is down, but the lease has not expired
        assert (observed.network.interfaces[0].address, observed.started_at) == (address, started)
        assert observed.network.interfaces[0].remark == reasons.LEASE_UNRENEWED
        server.start()
        await another.until(target, lambda seen: not seen.network.interfaces[0].remark)
    later.close()


async def test_a_runtime_waits_for_a_server_that_is_down(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    server.stop()
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    await controller.until(target, waiting_for(reasons.DHCP_SILENT))

    server.start()

    assert lan.ping(await controller.leased(target))


async def test_a_renumbered_lan_changes_the_address_at_the_next_start(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer, tmp_path: Path
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)
    server.stop()
    lan.renumber()
    server.forget()
    with DhcpServer(lan, tmp_path):
        await harness.run(target, base.Step.RESTART_CONTAINER)
        again = await controller.leased(target)
        assert lan.ping(again)
    assert again.rsplit(".", 1)[0] != address.rsplit(".", 1)[0]


async def test_a_renumbered_lan_changes_the_address_of_a_running_runtime(
    harness: BackendHarness, controller: Controller, lan: Lan, tmp_path: Path
) -> None:
    soon = ("--dhcp-option=option:T1,4", "--dhcp-option=option:T2,7")
    with DhcpServer(lan, tmp_path, *soon) as server:
        target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
        address = await controller.leased(target)
        started = (await harness.backend.observe(target)).started_at
    lan.renumber()
    server.forget()

    with DhcpServer(lan, tmp_path, *soon):
        observed = await controller.until(
            target, lambda seen: in_order(seen) and seen.network.interfaces[0].address != address
        )
        (interface,) = observed.network.interfaces
        assert lan.ping(interface.address)

    assert "DHCPNAK" in server.log
    assert (interface.gateway, observed.started_at) == (lan.gateway, started)


async def test_the_address_survives_replugging_the_parent(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)
    started = (await harness.backend.observe(target)).started_at

    lan.unplug()
    await controller.until(target, lambda seen: bool(seen.network.missing_parents))
    lan.plug()

    observed = await controller.until(target, in_order)
    assert (observed.network.interfaces[0].address, observed.started_at) == (address, started)
    assert lan.ping(address)


async def test_an_interface_changes_between_static_and_dhcp_while_it_runs(
    harness: BackendHarness, controller: Controller, lan: Lan, server: DhcpServer
) -> None:
    target = await harness.up(harness.target(interfaces=[dhcp(lan)]))
    address = await controller.leased(target)
    fixed = {"mode": "Static", "address": lan.address(20), "subnet": str(lan.subnet)}
    wire = target.spec.wire() | {"interfaces": [dhcp(lan, **fixed)]}
    static = dataclasses.replace(target, spec=type(target.spec).model_validate(wire))

    await harness.run(static, base.Step.REPAIR_NETWORKS)
    assert lan.ping(lan.address(20))
    assert lan.mac_of(address, seconds=1) is None
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert await controller.leased(target) == address
    assert lan.mac_of(lan.address(20), seconds=1) is None
