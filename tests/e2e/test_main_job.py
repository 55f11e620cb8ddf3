"""End to end on one host: from a cloud command to a container on the LAN, and back to answers, status and heartbeat."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.edge_host import AGENT, EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_a_runtime_created_by_the_cloud_answers_on_the_lan_with_its_pinned_mac(edge: EdgeHost, lan: Lan) -> None:
    answer = await edge.create("plc-1", lan.parent, f"{lan.address(50)}/24")
    assert answer["status"] == "creating"
    assert answer["container_id"] == "plc-1"

    status = await edge.wait_running("plc-1")

    network = status["networks"]["lan0"]
    assert network["ip_address"] == lan.address(50)
    assert await asyncio.to_thread(lan.ping, lan.address(50))
    assert await asyncio.to_thread(lan.mac_of, lan.address(50)) == network["mac_address"]


async def test_a_runtime_that_is_deleted_and_recreated_keeps_its_mac(edge: EdgeHost, lan: Lan) -> None:
    macs = []
    for _ in range(2):
        await edge.create("plc-1", lan.parent, f"{lan.address(51)}/24")
        status = await edge.wait_running("plc-1")
        macs.append(status["networks"]["lan0"]["mac_address"])
        assert (await edge.send("delete_device", device_id="plc-1"))["status"] == "deleting"
        await edge.wait_gone("plc-1")
    assert macs[0] == macs[1]


async def test_kubectl_shows_what_the_cloud_created(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(52)}/24")
    await edge.wait_condition("plc-1", "Ready")
    header, row = (await edge.kubectl("get", "runtimes")).splitlines()
    assert header.split() == ["NAME", "READY", "STATE", "NODE", "IP", "IMAGE", "RESTARTS", "AGE"]
    assert row.split()[:5] == ["plc-1", "True", "Running", "test-node", lan.address(52)]
    commands = await edge.kubectl("get", "rtc")
    assert "create_new_runtime" in commands
    nodes = json.loads(await edge.kubectl("get", "edgenodes", "-o", "json"))
    assert [n["metadata"]["name"] for n in nodes["items"]] == ["test-node"]


async def test_a_runtime_applied_with_kubectl_runs_and_cannot_be_deleted_by_the_cloud(edge: EdgeHost, lan: Lan) -> None:
    manifest = {
        "apiVersion": "getedge.me/v1alpha1",
        "kind": "Runtime",
        "metadata": {"name": "by-hand"},
        "spec": {
            "deviceId": "by-hand",
            "image": edge.environment["EDGE_RUNTIME_IMAGE"],
            "version": edge.environment["EDGE_RUNTIME_VERSION"],
            "interfaces": [
                {
                    "name": "lan0",
                    "parentInterface": lan.parent,
                    "mode": "Static",
                    "address": lan.address(53),
                    "subnet": str(lan.subnet),
                }
            ],
        },
    }
    await edge.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    await edge.wait_condition("by-hand", "Ready")
    assert await asyncio.to_thread(lan.ping, lan.address(53))

    refused = await edge.send("delete_device", device_id="by-hand")
    assert refused["status"] == "error"
    assert "kubectl" in refused["error"]

    await edge.kubectl("delete", "runtime", "by-hand", "--timeout=60s")
    assert (await edge.status("by-hand"))["status"] == "not_found"


async def test_stop_start_and_restart_answer_when_they_have_taken_effect(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(54)}/24")
    await edge.wait_running("plc-1")

    stopped = await edge.send("stop_device", device_id="plc-1")
    assert (stopped["status"], stopped["success"]) == ("success", True)
    assert (await edge.status("plc-1"))["container_status"] == "exited"

    assert (await edge.send("start_device", device_id="plc-1"))["success"] is True
    first = (await edge.runtime("plc-1"))["status"]["startedAt"]

    assert (await edge.send("restart_device", device_id="plc-1"))["success"] is True
    runtime = await edge.runtime("plc-1")
    assert runtime["status"]["startedAt"] != first
    assert runtime["status"]["restarts"][-1]["cause"] == "Requested"


async def test_run_command_reaches_the_runtime_over_the_internal_network(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(55)}/24")
    await edge.wait_running("plc-1")

    async def answered() -> dict[str, Any] | None:
        answer = await edge.send("run_command", device_id="plc-1", method="GET", api="/api/status")
        return answer if answer["status"] == "success" else None

    answer = await eventually(answered, "the runtime's control server answers")
    assert answer["http_response"]["status_code"] == 200
    assert answer["http_response"]["ok"] is True


async def test_consumption_is_reported_for_host_and_runtime(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(56)}/24")
    await edge.wait_running("plc-1")

    async def sampled() -> dict[str, Any] | None:
        answer = await edge.send("get_consumption_device", device_id="plc-1", cpuPeriod="1h", memoryPeriod="1h")
        return answer if answer["cpu_usage"] and answer["memory_usage"] else None

    usage = await eventually(sampled, "two samples of the runtime")
    assert usage["cpu"] == "unlimited"
    assert usage["memory_usage"][-1]["memory"] > 0
    host = await edge.send("get_consumption_orchestrator", cpuPeriod="1h", memoryPeriod="1h")
    assert host["cpu"] >= 1
    assert host["memory_usage"]


async def test_the_heartbeat_has_the_specified_fields(edge: EdgeHost) -> None:
    async def beats() -> list[dict[str, Any]] | None:
        return edge.cloud.heartbeats(AGENT) or None

    beat = (await eventually(beats, "a heartbeat"))[-1]
    fields = {"agent_id", "cpu_usage", "memory_usage", "memory_total", "disk_usage", "disk_total", "uptime"}
    assert fields | {"status", "timestamp"} == set(beat)
    assert (beat["agent_id"], beat["status"]) == (AGENT, "online")
