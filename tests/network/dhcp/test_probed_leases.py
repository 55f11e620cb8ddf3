"""A leased address is probed on a real LAN before it is used, and declined when another machine has it."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.dhcp.machine import LeaseProblem
from tests.network.dhcp.leasing import CLIENT, KEY, MAC, changes_until_the_end, until
from tests.support.bare_container import BareContainer
from tests.support.dhcp_server import DhcpServer
from tests.support.edge_host import eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]  # needs root and a LAN, but no engine


async def test_an_address_that_another_machine_has_is_declined(
    manager: LeaseManager, container: BareContainer, other: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    other.take(f"{lan.address(100)}/24")
    with DhcpServer(lan, tmp_path, first=100, last=100) as server:
        await manager.keep(KEY, container.link, CLIENT)
        lease_state = await until(manager, container.link, lambda found: found.problem is LeaseProblem.TAKEN)

        assert lease_state.declined == (IPv4Address(lan.address(100)), other.client.mac)
        assert (lease_state.lease, lease_state.settled) == (None, True)
        await eventually(lambda: asyncio.sleep(0, server.requests("DHCPDECLINE", MAC) == 1), "the server knows")


async def test_a_running_runtime_keeps_its_address_whoever_else_has_it(
    manager: LeaseManager, container: BareContainer, other: BareContainer, server: DhcpServer, tmp_path: Path
) -> None:
    reading = asyncio.create_task(changes_until_the_end(manager, container.link))
    await manager.keep(KEY, container.link, CLIENT)
    lease = await eventually(lambda: asyncio.sleep(0, manager.lease_state(KEY, container.link).lease), "a lease")
    await eventually(lambda: asyncio.sleep(0, KEY in manager._written), "the stored lease")
    container.take(str(lease.address))
    reading.cancel()
    manager.close()
    other.take(str(lease.address))

    later = LeaseManager(tmp_path / "leases")
    try:
        await later.keep(KEY, container.link, CLIENT)
        found = await until(later, container.link, lambda state: state.settled)
    finally:
        later.close()
    assert found.lease is not None
    assert (found.lease.address, found.problem) == (lease.address, None)


async def test_without_checks_the_address_is_used_at_once(
    container: BareContainer, other: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    other.take(f"{lan.address(100)}/24")
    manager = LeaseManager(tmp_path / "leases", checks=False)
    try:
        with DhcpServer(lan, tmp_path, first=100, last=100):
            await manager.keep(KEY, container.link, CLIENT)
            assert (await until(manager, container.link, lambda state: state.settled)).lease is not None
    finally:
        manager.close()
