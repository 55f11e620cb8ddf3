"""Manual changes and accidents are repaired automatically, and nothing is done twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


@pytest.fixture
async def running(edge: EdgeHost, lan: Lan) -> str:
    """The name of a runtime, created by the cloud, that runs on the LAN."""
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_running("plc-1")
    await edge.wait_condition("plc-1", "Ready")
    return "plc-1"


async def inspect(client: Any, name: str) -> dict[str, Any]:
    """The engine's description of the container, {} if it does not exist."""
    from docker import errors

    try:
        found: dict[str, Any] = await asyncio.to_thread(client.inspect_container, name)
    except errors.NotFound:
        return {}
    return found


async def wait_on_lan(edge: EdgeHost, lan: Lan, name: str, mac: str) -> None:
    """Wait until the runtime is ready and its LAN address answers with this MAC address."""

    async def answers() -> bool:
        return await asyncio.to_thread(lan.mac_of, lan.address(60), seconds=1) == mac

    await eventually(answers, f"{name} answers ARP with {mac} (see {edge.log})")
    await edge.wait_condition(name, "Ready")


async def network_of(client: Any, name: str, role: str) -> str:
    """The container's network with this role: "lan" or "internal"."""
    attached = (await inspect(client, name))["NetworkSettings"]["Networks"]
    ours = await asyncio.to_thread(client.networks, filters={"label": f"getedge.me/role={role}"})
    return next(str(network["Name"]) for network in ours if network["Name"] in attached)


@pytest.mark.parametrize("accident", ["kill", "stop", "remove", "leave-lan", "leave-internal"])
async def test_manual_damage_to_a_container_is_repaired(
    edge: EdgeHost, lan: Lan, running: str, docker_api: Any, accident: str
) -> None:
    mac = (await edge.status(running))["networks"]["lan0"]["mac_address"]
    networks = {role: await network_of(docker_api, running, role) for role in ("lan", "internal")}

    def leave(role: str) -> None:
        docker_api.disconnect_container_from_network(running, networks[role], force=True)

    by_hand = {
        "kill": lambda: docker_api.kill(running),
        "stop": lambda: docker_api.stop(running, timeout=1),
        "remove": lambda: docker_api.remove_container(running, force=True),
        "leave-lan": lambda: leave("lan"),
        "leave-internal": lambda: leave("internal"),
    }
    await asyncio.to_thread(by_hand[accident])
    await wait_on_lan(edge, lan, running, mac)

    async def responds() -> bool:
        answer = await edge.send("run_command", device_id=running, method="GET", api="/api/status")
        return bool(answer["status"] == "success")

    await eventually(responds, f"{running} responds over the internal network after {accident} (see {edge.log})")


async def test_a_running_container_survives_stop_and_start_of_the_controller(
    edge: EdgeHost, running: str, docker_api: Any
) -> None:
    before = (await inspect(docker_api, running))["State"]["StartedAt"]
    assert await edge.stop() == 0
    assert (await inspect(docker_api, running))["State"]["Running"]
    await edge.start()
    await edge.wait_running(running)
    await edge.wait_condition(running, "Ready")
    assert (await inspect(docker_api, running))["State"]["StartedAt"] == before


async def test_a_runtime_has_its_address_after_a_restart_of_dockerd(
    edge: EdgeHost, lan: Lan, running: str, engine: Engine
) -> None:
    mac = (await edge.status(running))["networks"]["lan0"]["mac_address"]
    await asyncio.to_thread(engine.restart)
    await wait_on_lan(edge, lan, running, mac)


async def test_the_agent_reconnects_after_a_restart_of_the_cloud(edge: EdgeHost, running: str, docker_api: Any) -> None:
    before = (await inspect(docker_api, running))["State"]["StartedAt"]
    await edge.cloud.stop()
    await edge.cloud.start()
    await edge.cloud.wait_agent(AGENT, timeout=60)
    await edge.wait_running(running)
    assert (await inspect(docker_api, running))["State"]["StartedAt"] == before


async def test_a_missing_parent_interface_is_awaited(edge: EdgeHost, lan: Lan) -> None:
    await asyncio.to_thread(lan.unplug)
    await edge.create("plc-2", lan.parent, f"{lan.address(61)}/24")

    async def waiting() -> bool:
        conditions = (await edge.runtime("plc-2")).get("status", {}).get("conditions", [])
        return any(c["type"] == "Reconciling" and c["reason"] == "ParentInterfaceMissing" for c in conditions)

    await eventually(waiting, "the status reports the missing parent interface")
    await asyncio.to_thread(lan.plug)
    await edge.wait_running("plc-2")
    assert await asyncio.to_thread(lan.ping, lan.address(61))
