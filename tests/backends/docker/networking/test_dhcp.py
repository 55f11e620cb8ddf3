"""Runtimes with DHCP on a real LAN, across restarts of runtime, controller and server."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from controller.api import reasons
from controller.backends import base
from controller.network import resolver
from controller.network.dhcp.lease_manager import LeaseManager
from tests.backends.conftest import BackendHarness, NewBackend
from tests.backends.docker.networking.leasing import Controller, dhcp, in_order, waiting_for
from tests.backends.inside import process_of
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


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
