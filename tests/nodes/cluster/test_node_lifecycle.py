"""A silent node: marked as away on its EdgeNode and its Runtimes, reported to the cloud, and nothing else changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.metrics.host import HostReading
from controller.nodes.cluster.node_lease import NodeLease
from controller.nodes.cluster.node_lifecycle import NodeLifecycle
from controller.nodes.edgenode_status import EdgeNodePublisher, Sources
from tests.support.command_harness import CommandHarness, condition
from tests.support.embedded_api import NAMESPACE

AWAY_SECONDS = 0.2
HEARTBEAT = "2026-01-01T00:00:00"


@pytest.fixture
async def fleet(api: ApiClient) -> None:
    """Nodes one and two with fresh Leases, and a running Runtime on each."""
    for node in ("one", "two"):
        await api.create(kinds.EDGE_NODES, {"metadata": {"name": node}, "spec": {}})
        await renew(api, node)
        spec = {"deviceId": f"plc-{node}", "image": "a/b", "nodeName": node, "backend": "Docker"}
        labels = {"getedge.me/origin": "cloud"}
        metadata = {"name": f"plc-{node}", "namespace": NAMESPACE, "labels": labels}
        await api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": spec})
        status = {"state": "Running", "internalIP": "10.213.0.2", "observedGeneration": 1,
                  "conditions": [condition("Ready", "True", 1), condition("NetworkAttached", "True", 1)]}  # fmt: skip
        await api.patch(kinds.RUNTIMES, f"plc-{node}", NAMESPACE, {"status": status}, subresource="status")


async def renew(api: ApiClient, node: str) -> None:
    """Renew the Lease of the node."""
    await NodeLease(api, NAMESPACE, node, lambda: None).renew()


async def after_silence(api: ApiClient, *alive: str) -> NodeLifecycle:
    """The lifecycle after a check that found all nodes but ``alive`` silent for too long."""
    lifecycle = NodeLifecycle(api, NAMESPACE, away_seconds=AWAY_SECONDS)
    await lifecycle.check()
    await asyncio.sleep(2 * AWAY_SECONDS)
    for node in alive:
        await renew(api, node)
    await lifecycle.check()
    return lifecycle


async def ready(api: ApiClient, kind: core_kinds.Kind, name: str, namespace: str = "") -> dict[str, Any]:
    found = await api.get(kind, name, namespace)
    conditions = (found.get("status") or {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready"), {})


@pytest.mark.usefixtures("fleet")
async def test_only_the_silent_node_is_away(api: ApiClient) -> None:
    await after_silence(api, "two")
    assert (await ready(api, kinds.EDGE_NODES, "one"))["reason"] == "NodeAway"
    assert await ready(api, kinds.EDGE_NODES, "two") == {}
    gone = await ready(api, kinds.RUNTIMES, "plc-one", NAMESPACE)
    assert (gone["status"], gone["reason"]) == ("Unknown", "NodeAway")
    assert "node one is away, last heard from at" in gone["message"]
    assert (await ready(api, kinds.RUNTIMES, "plc-two", NAMESPACE))["status"] == "True"


@pytest.mark.usefixtures("fleet")
async def test_nothing_is_deleted_or_moved_and_the_rest_of_the_status_is_kept(api: ApiClient) -> None:
    before = await api.get(kinds.RUNTIMES, "plc-one", NAMESPACE)
    lifecycle = await after_silence(api, "two")
    after = await api.get(kinds.RUNTIMES, "plc-one", NAMESPACE)
    assert after["spec"] == before["spec"]
    assert after["status"]["state"] == "Running"
    assert condition("NetworkAttached", "True", 1) in after["status"]["conditions"]
    await lifecycle.check()
    again = await api.get(kinds.RUNTIMES, "plc-one", NAMESPACE)
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("topic", "fields"),
    [
        ("start_device", {}),
        ("stop_device", {}),
        ("restart_device", {}),
        ("delete_device", {}),
        ("get_device_status", {}),
        ("run_command", {"method": "GET", "api": "/"}),
        ("get_consumption_device", {"cpuPeriod": "1h", "memoryPeriod": "1h"}),
    ],
)
async def test_commands_for_its_runtimes_are_answered_with_an_error(
    api: ApiClient, topic: str, fields: dict[str, Any]
) -> None:
    await after_silence(api, "two")
    before = await api.get(kinds.RUNTIMES, "plc-one", NAMESPACE)
    harness = CommandHarness(api)
    answer = await harness.send(topic, device_id="plc-one", **fields)
    assert answer["status"] == "error"
    assert "node one is away, last heard from at" in answer["error"]
    assert await api.get(kinds.RUNTIMES, "plc-one", NAMESPACE) == before
    assert harness.node.requests == []
    await harness.close()


@pytest.mark.usefixtures("fleet")
async def test_a_node_that_is_back_overwrites_the_condition_and_checks_its_runtimes(api: ApiClient) -> None:
    await after_silence(api, "two")
    checked = []

    async def interfaces() -> list[Any]:
        return []

    async def engine() -> None:
        return

    async def returned() -> None:
        checked.append("all")

    sources = Sources(lambda: HostReading(1, 2, 3, 4, 5, 6), interfaces, interfaces, engine)
    status = EdgeNodePublisher(api, "one", "1", sources, returned=returned)
    await status.sync()
    assert (await ready(api, kinds.EDGE_NODES, "one"))["status"] == "True"
    assert checked == ["all"]
    await status.sync()
    assert checked == ["all"]
