"""DHCP end to end: the cloud requests a leased interface; LAN, kubectl and cloud see the same address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dhcp_server import DhcpServer
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


@pytest.fixture
async def server(lan: Lan, tmp_path: Path) -> AsyncIterator[DhcpServer]:
    """The DHCP server of the LAN."""
    made = DhcpServer(lan, tmp_path)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def created(edge: EdgeHost, lan: Lan) -> dict[str, Any]:
    """Create a runtime with a leased interface and return its status once it is ready."""
    interface = {"name": "lan0", "parent_interface": lan.parent, "network_mode": "dhcp"}
    answer = await edge.send("create_new_runtime", container_name="plc-1", vnic_configs=[interface])
    assert answer["status"] == "creating"
    await edge.wait_condition("plc-1", "Ready")
    status: dict[str, Any] = (await edge.runtime("plc-1"))["status"]
    return status


async def test_lan_cloud_and_kubectl_see_the_leased_address(edge: EdgeHost, lan: Lan, server: DhcpServer) -> None:
    interface = (await created(edge, lan))["interfaces"][0]

    address, name, client = server.given()[interface["macAddress"]]
    assert interface["address"] == interface["lease"]["address"] == address
    assert (name, client) == ("plc-1", f"01:{interface['macAddress']}")
    assert interface["lease"]["server"] == interface["gateway"] == lan.gateway
    assert await asyncio.to_thread(lan.mac_of, address) == interface["macAddress"]
    network = (await edge.wait_running("plc-1"))["networks"]["lan0"]
    assert (network["ip_address"], network["mac_address"]) == (address, interface["macAddress"])
    _, row = (await edge.kubectl("get", "runtimes")).splitlines()
    assert address in row.split()


async def test_a_killed_controller_keeps_the_address_and_renews_the_lease(
    edge: EdgeHost, lan: Lan, server: DhcpServer
) -> None:
    before = await created(edge, lan)
    address = before["interfaces"][0]["address"]

    await edge.kill()
    assert await asyncio.to_thread(lan.ping, address)
    await edge.start()

    async def kept_again() -> bool:
        """Whether the server has confirmed the lease again."""
        return await asyncio.to_thread(server.requests, "DHCPREQUEST", before["interfaces"][0]["macAddress"]) > 1

    await eventually(kept_again, f"the lease is requested again (see {edge.log})")
    await edge.wait_condition("plc-1", "Ready")
    after = (await edge.runtime("plc-1"))["status"]
    assert (after["interfaces"][0]["address"], after["startedAt"]) == (address, before["startedAt"])
    assert await asyncio.to_thread(lan.ping, address)


async def test_a_silent_dhcp_server_is_reported(edge: EdgeHost, lan: Lan, server: DhcpServer) -> None:
    await asyncio.to_thread(server.stop)
    interface = {"name": "lan0", "parent_interface": lan.parent, "network_mode": "dhcp"}
    await edge.send("create_new_runtime", container_name="plc-1", vnic_configs=[interface])

    async def reason() -> str:
        conditions = (await edge.runtime("plc-1")).get("status", {}).get("conditions", ())
        return next((each["reason"] for each in conditions if each["type"] == "NetworkAttached"), "")

    async def silent() -> bool:
        return await reason() == "DhcpServerSilent"

    await eventually(silent, "the status reports the silent server")
    assert (await edge.runtime("plc-1"))["status"]["state"] == "Running"
    await asyncio.to_thread(server.start)
    await edge.wait_condition("plc-1", "Ready")
    assert await reason() == "Attached"


async def test_the_address_returns_with_an_unplugged_parent(edge: EdgeHost, lan: Lan, server: DhcpServer) -> None:
    before = await created(edge, lan)
    address = before["interfaces"][0]["address"]

    await asyncio.to_thread(lan.unplug)
    await edge.kubectl("wait", "runtime/plc-1", "--for=condition=Ready=False", "--timeout=60s")
    await asyncio.to_thread(lan.plug)

    await edge.wait_condition("plc-1", "Ready")
    after = (await edge.runtime("plc-1"))["status"]
    assert (after["interfaces"][0]["address"], after["startedAt"]) == (address, before["startedAt"])
    assert await asyncio.to_thread(lan.ping, address)
