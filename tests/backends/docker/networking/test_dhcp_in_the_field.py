"""Leases on a real LAN whose address another machine has, and leases with gateways and routes beyond the subnet."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from controller.api import reasons
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.address_check import ANSWER_SECONDS
from controller.network.routes import LinkRoute, Route
from tests.backends.conftest import BackendHarness
from tests.backends.docker.networking.leasing import Controller, dhcp, in_order, waiting_for
from tests.backends.inside import links_of
from tests.support.bare_container import BareContainer
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


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

    # Until then a claim declines the address.
    await asyncio.sleep(ANSWER_SECONDS)
    mac = await asyncio.to_thread(lan.take, address)
    await asyncio.to_thread(lan.speak, address)
    async with asyncio.timeout(30):
        await anext(guard.changes())

    (found,) = (await harness.backend.observe(target)).network.interfaces
    assert (found.address, found.awaits) == (address, reasons.ADDRESS_CONFLICT)
    assert mac in found.detail
