"""A dedicated NIC: from the cloud's command, through crashes, to its return to the host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.command import run
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


@pytest.fixture
def nic(docker_machine: None) -> Iterator[Lan]:
    """A host interface that nothing else uses."""
    with Lan() as made:
        run("ip", "addr", "add", f"{made.address(2)}/24", "dev", made.parent)
        yield made


async def shown(edge: EdgeHost, name: str) -> dict[str, Any]:
    """The interface as reported to the cloud."""
    answer = await edge.send("get_host_interfaces", include_virtual=True, detailed=True)
    return next(interface for interface in answer["interfaces"] if interface["name"] == name)


async def test_a_dedicated_nic_survives_crashes_and_is_returned(
    edge: EdgeHost, lan: Lan, nic: Lan, docker_api: Any
) -> None:
    before = json.loads(run("ip", "-j", "address", "show", "dev", nic.parent).stdout)[0]["addr_info"][0]["local"]
    assert (await shown(edge, nic.parent))["dedicated_only"] is False
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24", dedicated_interface=nic.parent)
    # It has an address of the host, which only a setting may give away.
    await edge.wait_condition("plc-1", "Stalled")
    assert before in (await edge.runtime("plc-1"))["status"]["error"]
    await edge.stop()
    edge.environment["EDGE_DEDICATE_ADDRESSED"] = "true"
    await edge.start()
    await edge.wait_condition("plc-1", "Ready")

    reported = await shown(edge, nic.parent)
    assert (reported["dedicated_to"], reported["dedicated_only"]) == ("plc-1", True)
    assert (await shown(edge, lan.parent))["used_by"] == ["plc-1"]
    assert run("ip", "link", "show", nic.parent, check=False).returncode

    await edge.kill()
    await asyncio.to_thread(docker_api.kill, "plc-1")
    await edge.start()

    async def inside() -> bool:
        pid = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["State"]["Pid"]
        return (
            bool(pid)
            and not run("nsenter", "-t", str(pid), "-n", "ip", "link", "show", nic.parent, check=False).returncode
        )

    await eventually(inside, f"the NIC is in the container again (see {edge.log})")
    await edge.wait_condition("plc-1", "Ready")
    await edge.send("delete_device", device_id="plc-1")
    await edge.wait_gone("plc-1")

    (link,) = json.loads(run("ip", "-j", "address", "show", "dev", nic.parent).stdout)
    assert before in {each["local"] for each in link["addr_info"]}
    assert await asyncio.to_thread(nic.ping, nic.address(2))


async def test_a_parent_of_another_runtime_is_not_moved(edge: EdgeHost, lan: Lan, nic: Lan) -> None:
    # A leased interface has no network in the engine, so only the spec shows that its parent is in use.
    leased = {"name": "lan0", "parent_interface": nic.parent, "network_mode": "dhcp"}
    await edge.send("create_new_runtime", container_name="plc-1", vnic_configs=[leased])

    async def runs() -> bool:
        return bool((await edge.runtime("plc-1")).get("status", {}).get("state") == "Running")

    await eventually(runs, "the first runtime runs")
    await edge.create("plc-2", lan.parent, f"{lan.address(61)}/24", dedicated_interface=nic.parent)

    await edge.wait_condition("plc-2", "Stalled")
    (stalled,) = [each for each in (await edge.runtime("plc-2"))["status"]["conditions"] if each["type"] == "Stalled"]
    assert stalled["reason"] == "DedicatedInterfaceRefused"
    assert stalled["message"].startswith(f"{nic.parent} is a parent interface of plc-1")
    assert await asyncio.to_thread(nic.ping, nic.address(2))

    run("ip", "addr", "flush", "dev", nic.parent)  # an address of the host would be refused, too
    await edge.send("delete_device", device_id="plc-1")
    await edge.wait_condition("plc-2", "Ready", seconds=30)  # without being woken, it would try again after 50 s
    assert run("ip", "link", "show", nic.parent, check=False).returncode
