"""A leader and two nodes on a real API: one agent for the cloud, queries that reach the right node, a node away.

The nodes are controllers on this machine, without Docker, which these queries do not need.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from controller import names
from controller.metrics.host import gigabytes
from controller.nodes.cluster import certificate, leader_key
from controller.nodes.cluster.leader_key import HEADER
from controller.nodes.cluster.remote_node import Address
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, NAMESPACE, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NODES = ("node-1", "node-2")


class Fleet:
    """The processes of a leader and two nodes."""

    def __init__(self, edge: EdgeCluster) -> None:
        self.edge = edge
        self.leader = edge.process("leader", "link")
        self.nodes = {name: edge.process(name, "node") for name in NODES}

    async def start(self) -> None:
        """Start all processes; return when the leader can query both nodes."""
        for node in self.nodes.values():
            await node.start(connected=False)
        await self.leader.start()
        await eventually(self._answers, "both nodes answer the leader")

    async def _answers(self) -> bool:
        answer = await self.leader.send("get_host_interfaces")
        return {interface.get("node_name") for interface in answer["interfaces"]} == set(NODES)

    async def address(self, name: str) -> Address:
        """The published address of a node."""
        api = (await self.edge.get("edgenode", name))["status"]["api"]
        return Address(name, api["url"], api["certificate"])

    async def patch_status(self, what: str, name: str, status: dict[str, Any]) -> None:
        """Patch a status."""
        patch = json.dumps({"status": status})
        await self.edge.kubectl("patch", what, name, "--subresource=status", "--type=merge", "-p", patch)

    async def runtime(self, name: str, node: str, **fields: Any) -> None:
        """Create a Runtime of the cloud; its node cannot run it without Docker."""
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {names.ORIGIN_LABEL: names.ORIGIN_CLOUD}}
        spec = {"deviceId": name, "image": "registry.test/runtime", "nodeName": node, "backend": "Docker", **fields}
        runtime = {"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec}
        await self.edge.apply(runtime, manager=names.FIELD_MANAGER)

    async def ready(self, what: str, name: str) -> dict[str, Any]:
        """The Ready condition, {} when there is none."""
        conditions = (await self.edge.get(what, name)).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "Ready"), {})


@pytest.fixture
async def fleet(edge_cluster: EdgeCluster) -> Fleet:
    fleet = Fleet(edge_cluster)
    await fleet.start()
    return fleet


class WebServer:
    """An HTTP server; records the paths in ``requests``, and delays responses while ``open`` is not set."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application)

    @property
    def port(self) -> int:
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def stop(self) -> None:
        self.open.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        await self.open.wait()
        return web.json_response({"method": request.method})


@pytest.fixture
async def web_server() -> AsyncIterator[WebServer]:
    made = WebServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def runs(fleet: Fleet, web_server: WebServer) -> None:
    """``plc-1`` runs on the second node; its control server is the web server."""
    await fleet.runtime("plc-1", "node-2")

    async def seen() -> bool:
        return (await fleet.ready("runtime", "plc-1")).get("reason") == "DockerUnreachable"

    await eventually(seen, "the node has reported its status")
    await fleet.patch_status("runtime", "plc-1", {"state": "Running", "internalIP": "127.0.0.1"})


async def test_two_nodes_are_one_agent(fleet: Fleet) -> None:
    async def both() -> bool:
        beat = await fleet.edge.cloud.next_heartbeat(AGENT, timeout=60)
        return bool(beat["memory_total"] == gigabytes(2 * psutil.virtual_memory().total) and beat["uptime"] > 0)

    await eventually(both, "the heartbeat covers both nodes")

    async def used() -> dict[str, Any] | None:
        answer = await fleet.leader.send("get_consumption_orchestrator", cpuPeriod="1h", memoryPeriod="1h")
        return answer if answer["cpu_usage"] else None

    answer = await eventually(used, "the nodes have a history")
    assert answer["cpu"] == 2 * (psutil.cpu_count() or 0)
    assert answer["memory"] == 2 * psutil.virtual_memory().total >> 20

    async def reported() -> bool:
        shown = [await fleet.edge.get("edgenode", name) for name in NODES]
        return all(node["status"].get("agentId") == AGENT for node in shown)

    await eventually(reported, "every node shows the agent")


@pytest.mark.usefixtures("runs")
async def test_a_request_reaches_the_runtime_through_its_node(fleet: Fleet, web_server: WebServer) -> None:
    fields: dict[str, Any] = {"device_id": "plc-1", "method": "POST", "api": "/api/load?a=b", "port": web_server.port}
    answer = await fleet.leader.send("run_command", **fields)
    assert answer["http_response"]["body"] == {"method": "POST"}
    assert web_server.requests == ["/api/load?a=b"]


@pytest.mark.usefixtures("runs")
async def test_a_request_in_flight_is_not_repeated_by_the_next_leader(fleet: Fleet, web_server: WebServer) -> None:
    second = fleet.edge.process("leader-2", "link")
    await second.start(connected=False)
    web_server.open.clear()
    fields: dict[str, Any] = {"device_id": "plc-1", "method": "POST", "api": "/api/load", "port": web_server.port}
    message = fleet.leader.message("run_command", **fields)
    sending = asyncio.create_task(fleet.edge.cloud.send(AGENT, "run_command", message, timeout=60))

    async def received() -> bool:
        return bool(web_server.requests)

    await eventually(received, "the runtime has received the request")
    await fleet.leader.kill()
    await asyncio.gather(sending, return_exceptions=True)
    web_server.open.set()
    await fleet.edge.cloud.wait_agent(AGENT, timeout=60)
    again = await fleet.edge.cloud.send(AGENT, "run_command", message, timeout=60)
    assert again["error"].startswith("outcome unknown")
    assert web_server.requests == ["/api/load"]


async def query(address: Address, headers: Mapping[str, str]) -> int:
    """The status of a node's answer to a caller with these headers."""
    context = await asyncio.to_thread(certificate.client_context, address.certificate)
    url, name = f"{address.url}/v1/host_facts", certificate.HOST
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, data=b"{}", ssl=context, server_hostname=name) as answer,
    ):
        return answer.status


async def test_only_the_leader_may_query_a_node(fleet: Fleet) -> None:
    address = await fleet.address("node-1")
    token = await fleet.edge.make_token(names.NODE_AUDIENCE)
    for headers in ({}, {HEADER: "made up"}, {"Authorization": f"Bearer {token}"}):
        assert await query(address, headers) == 401
    assert "Refused a query from 127.0.0.1" in fleet.nodes["node-1"].log_text()


async def test_the_key_for_one_node_is_refused_by_the_other(fleet: Fleet) -> None:
    first, second = [await fleet.address(name) for name in NODES]
    published = f"{names.LEADER_KEY}={leader_key.digest('key', first.certificate)}"
    await fleet.edge.kubectl("annotate", "--overwrite", "edgenode", first.name, published)
    assert await query(first, {HEADER: "key"}) == 200
    assert await query(second, {HEADER: "key"}) == 401


async def test_an_update_of_the_status_cannot_publish_a_key(fleet: Fleet) -> None:
    before = (await fleet.edge.get("edgenode", "node-2"))["metadata"]["annotations"]
    # The role of a node contains no other right to change an EdgeNode (test_rights.py).
    patch = {"metadata": {"annotations": {names.LEADER_KEY: "made-up"}}, "status": {"version": "made-up"}}
    arguments = ("edgenode", "node-2", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    await fleet.edge.kubectl("patch", *arguments)
    assert (await fleet.edge.get("edgenode", "node-2"))["metadata"]["annotations"] == before


async def test_a_runtime_is_placed_or_the_answer_says_what_each_node_has(
    fleet: Fleet,
) -> None:
    interfaces = (await fleet.leader.send("get_host_interfaces"))["interfaces"]
    parent = interfaces[0]["name"]
    refused = await fleet.leader.create("plc-1", "missing0", "192.0.2.50/24")
    assert refused["error"].startswith("no node has missing0 (node-1: it has no Docker")
    refused = await fleet.leader.create("plc-1", parent, "192.0.2.50/24", node_name="node-3")
    assert refused["error"] == "there is no node node-3: the nodes are node-1, node-2"
    await fleet.edge.kubectl(
        "patch",
        "edgenode",
        "node-2",
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status":{"backends":["Docker"]}}',
    )
    assert (await fleet.leader.create("plc-1", parent, "192.0.2.50/24"))["status"] == "creating"
    spec = (await fleet.edge.get("runtime", "plc-1"))["spec"]
    assert (spec["nodeName"], spec["backend"]) == ("node-2", "Docker")


async def test_a_node_that_is_away_is_reported_and_nothing_else_changes(fleet: Fleet) -> None:
    await fleet.runtime("plc-1", "node-1")
    await fleet.runtime("plc-2", "node-2")
    before = (await fleet.edge.get("runtime", "plc-1"))["spec"]
    await fleet.nodes["node-1"].stop()

    async def away() -> bool:
        return (await fleet.ready("runtime", "plc-1")).get("reason") == "NodeAway"

    await eventually(away, "its Runtime is marked", seconds=120)
    assert (await fleet.ready("edgenode", "node-1"))["status"] == "Unknown"
    assert (await fleet.ready("runtime", "plc-2")).get("reason") != "NodeAway"
    for topic in ("stop_device", "delete_device", "get_device_status"):
        answer = await fleet.leader.send(topic, device_id="plc-1")
        assert "node node-1 is away, last heard from at" in answer["error"]
    assert (await fleet.edge.get("runtime", "plc-1"))["spec"] == before
    await fleet.nodes["node-1"].start(connected=False)

    async def back() -> bool:
        runtime, node = await fleet.ready("runtime", "plc-1"), await fleet.ready("edgenode", "node-1")
        return "NodeAway" not in (runtime.get("reason"), node.get("reason"))

    await eventually(back, "the node reports its status again", seconds=120)
    assert (await fleet.leader.send("get_device_status", device_id="plc-1"))["device_id"] == "plc-1"
