"""The agent of a node may write only what belongs to its node: the chart's policies on a real API server.

Agents present tokens that are bound to a Node, as the kubelet's are for their pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_kubeconfig
from controller.machinery.kinds import Kind
from tests.support.edge_cluster import NODE_ACCOUNT, EdgeCluster, rendered
from tests.support.edge_host import NAMESPACE, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

HERE, ELSEWHERE = "node-a", "node-b"
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


class Agent:
    """A client with the token of an agent."""

    def __init__(self, kubeconfig: Path, api: ApiClient) -> None:
        self.kubeconfig = kubeconfig
        self._api = api

    async def create(self, kind: Kind, name: str, **fields: Any) -> str:
        """Create an object; return the API's refusal, "" if it accepts the request."""
        namespace = {"namespace": NAMESPACE} if kind.namespaced else {}
        return await _refusal(self._api.create(kind, {"metadata": {"name": name, **namespace}, **fields}))

    async def patch(self, kind: Kind, name: str, patch: dict[str, Any]) -> str:
        """Merge a patch of an object, or of its status; return the refusal."""
        namespace = NAMESPACE if kind.namespaced else ""
        subresource = "status" if "status" in patch else ""
        return await _refusal(self._api.patch(kind, name, namespace, patch, subresource=subresource))


async def _refusal(request: Awaitable[Any]) -> str:
    try:
        await request
    except errors.ApiError as error:
        return str(error)
    return ""


@contextlib.asynccontextmanager
async def agent_of(edge: EdgeCluster, node: str) -> AsyncIterator[Agent]:
    """The agent of a node; of none if ``node`` is ""."""
    path = edge.directory / f"agent-{node}.kubeconfig"
    await edge.write_kubeconfig(path, await edge.make_token(account=NODE_ACCOUNT, node=node))
    api = ApiClient(await from_kubeconfig(path))
    try:
        yield Agent(path, api)
    finally:
        await api.close()


@pytest.fixture
async def edge(edge_cluster: EdgeCluster) -> AsyncIterator[EdgeCluster]:
    """The installation with the policies, two Nodes, and a Runtime on each; the other node has all its objects."""
    for node in (HERE, ELSEWHERE):
        await edge_cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}, runtime(node))
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": f"edgenode-{ELSEWHERE}"}}
    edge_node = {"apiVersion": names.API_VERSION, "kind": "EdgeNode", "metadata": {"name": ELSEWHERE}}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "other"}, **event_of(ELSEWHERE)}
    await edge_cluster.apply(lease, edge_node, event, *rendered(*POLICIES))
    try:
        async with agent_of(edge_cluster, HERE) as agent:
            await eventually(lambda: in_effect(agent), "the API server applies the policies")
        yield edge_cluster
    finally:
        # Other tests share the API server, and their agents' tokens name no node.
        for kind in reversed(POLICIES):
            await edge_cluster.kubectl("delete", kind, "--all")
        await edge_cluster.kubectl("delete", "node", HERE, ELSEWHERE)
        await edge_cluster.kubectl("delete", "events", "--all")


async def in_effect(agent: Agent) -> bool:
    """Whether each policy rejects something."""
    label = {"metadata": {"labels": {"a": "b"}}}
    refusals = (
        await agent.patch(core_kinds.LEASES, f"edgenode-{ELSEWHERE}", label),
        await agent.patch(core_kinds.EVENTS, "other", label),
        await agent.patch(kinds.RUNTIMES, ELSEWHERE, label),
    )
    return all("may not write" in refusal for refusal in refusals)


@pytest.fixture
async def agent(edge: EdgeCluster) -> AsyncIterator[Agent]:
    async with agent_of(edge, HERE) as made:
        yield made


def runtime(node: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    """A Runtime of a node, with its name."""
    metadata = {"name": node, "namespace": namespace}
    spec = {"deviceId": node, "image": "registry.test/plc", "nodeName": node, "backend": "Docker"}
    return {"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec}


def event_of(node: str) -> dict[str, Any]:
    """The fields of an event that says that the agent of ``node`` wrote it."""
    about = {"kind": "Runtime", "name": node, "namespace": NAMESPACE}
    described = {"reason": "Started", "type": "Normal", "message": "x", "reportingComponent": names.FIELD_MANAGER}
    return {"involvedObject": about, "reportingInstance": node, **described}


STATUS = {"status": {"error": "x"}}


async def test_an_agent_writes_the_objects_of_its_own_node(agent: Agent) -> None:
    assert await agent.create(kinds.EDGE_NODES, HERE) == ""
    assert await agent.patch(kinds.EDGE_NODES, HERE, {"status": {"version": "1"}}) == ""
    assert await agent.create(core_kinds.LEASES, f"edgenode-{HERE}") == ""
    assert await agent.patch(core_kinds.LEASES, f"edgenode-{HERE}", {"spec": {"holderIdentity": HERE}}) == ""
    assert await agent.create(core_kinds.EVENTS, "own", **event_of(HERE)) == ""
    assert await agent.patch(core_kinds.EVENTS, "own", {"count": 2}) == ""
    assert await agent.create(core_kinds.CONFIG_MAPS, "edge-controller") == ""
    assert await agent.patch(kinds.RUNTIMES, HERE, STATUS) == ""
    assert await agent.patch(kinds.RUNTIMES, HERE, {"metadata": {"finalizers": [names.FINALIZER]}}) == ""


async def test_an_agent_cannot_write_the_objects_of_another_node(agent: Agent) -> None:
    attempts = (
        agent.create(kinds.EDGE_NODES, "node-c"),
        agent.patch(kinds.EDGE_NODES, ELSEWHERE, {"status": {"version": "1"}}),
        agent.patch(kinds.RUNTIMES, ELSEWHERE, STATUS),
        agent.patch(kinds.RUNTIMES, ELSEWHERE, {"metadata": {"annotations": {names.CLAIM: None, "a": "b"}}}),
        agent.patch(core_kinds.LEASES, f"edgenode-{ELSEWHERE}", {"spec": {"holderIdentity": HERE}}),
        agent.create(core_kinds.LEASES, "edge-controller"),
        agent.create(core_kinds.CONFIG_MAPS, "another"),
        agent.create(core_kinds.EVENTS, "forged", **event_of(ELSEWHERE)),
        agent.patch(core_kinds.EVENTS, "other", {"reportingInstance": HERE}),
    )
    for refusal in await asyncio.gather(*attempts):
        assert f"the agent of node {HERE} may not write" in refusal


async def test_an_agent_cannot_change_specs_or_take_runtimes_over(agent: Agent) -> None:
    for spec in ({"image": "attacker.test/x"}, {"desiredState": "Stopped"}):
        assert "may not change the spec" in await agent.patch(kinds.RUNTIMES, HERE, {"spec": spec})
    assert await agent.patch(kinds.RUNTIMES, ELSEWHERE, {"spec": {"nodeName": HERE}})


async def test_a_token_that_names_no_node_writes_nothing(edge: EdgeCluster) -> None:
    async with agent_of(edge, "") as nobody:
        refusals = (
            await nobody.create(kinds.EDGE_NODES, HERE),
            await nobody.create(core_kinds.LEASES, f"edgenode-{HERE}"),
            await nobody.create(core_kinds.EVENTS, "own", **event_of(HERE)),
            await nobody.patch(kinds.RUNTIMES, HERE, STATUS),
        )
    for refusal in refusals:
        assert "names no node" in refusal


async def test_an_agent_works_under_the_policies_and_serves_only_its_namespaces(
    edge: EdgeCluster, agent: Agent
) -> None:
    await edge.kubectl("create", "namespace", "dev")
    await edge.kubectl("create", "-n", "dev", "-f", "-", stdin=json.dumps(runtime(HERE, "dev")))
    process = edge.process(HERE, "node", KUBECONFIG=str(agent.kubeconfig))
    await process.start(connected=False)

    async def stalled() -> str:
        found = json.loads(await edge.kubectl("get", "runtime", HERE, "-n", "dev", "-o", "json"))
        conditions = (found.get("status") or {}).get("conditions", [])
        return next((c["reason"] for c in conditions if (c["type"], c["status"]) == ("Stalled", "True")), "")

    async def served() -> bool:
        found = await edge.get("runtime", HERE)
        own = json.loads(await edge.kubectl("get", "edgenodes,leases", "-o", "json"))["items"]
        written = {each["metadata"]["name"] for each in own}
        finalized = names.FINALIZER in found["metadata"].get("finalizers", ())
        return bool(found.get("status")) and finalized and written >= {HERE, f"edgenode-{HERE}"}

    try:
        await eventually(served, f"the agent reports (see {process.log})")
        assert await eventually(stalled, "the other namespace is refused") == "NamespaceNotServed"
        assert "may not" not in process.log_text()
    finally:
        released = json.dumps({"metadata": {"finalizers": None}})
        await process.stop()
        await edge.kubectl("patch", "runtime", HERE, "-n", "dev", "--type=merge", "-p", released)
        await edge.kubectl("delete", "namespace", "dev", "--wait=false")
