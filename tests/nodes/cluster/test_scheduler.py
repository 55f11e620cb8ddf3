"""Runtimes without a node - made by a person, Helm or GitOps - are assigned one, or their status says why not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controller.api import kinds
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.machinery.client import ApiClient
from controller.node_api.node import Node, Placement
from controller.nodes.cluster import placement
from controller.nodes.cluster.placement import Candidate
from controller.nodes.cluster.scheduler import Scheduler
from tests.support.edge_host import eventually
from tests.support.embedded_api import NAMESPACE


class FakeNodeDirectory:
    """A directory of the test's nodes."""

    def __init__(self, *candidates: Candidate) -> None:
        self.candidates = candidates

    async def node_of(self, runtime: Mapping[str, Any]) -> Node:
        raise NotImplementedError

    async def available(self) -> Mapping[str, Node]:
        raise NotImplementedError

    async def choose(self, spec: Mapping[str, Any]) -> Placement:
        return placement.choose(self.candidates, spec, pods=False)


ONE = Candidate("one", {"eth0": ""}, ("Docker",))


async def create(api: ApiClient, **fields: Any) -> None:
    interface = {"name": "lan0", "parentInterface": "eth0"}
    spec = {"deviceId": "plc-1", "image": "a/b", "interfaces": [interface], **fields}
    await api.create(kinds.RUNTIMES, {"metadata": {"name": "plc-1", "namespace": NAMESPACE}, "spec": spec})


async def runtime(api: ApiClient) -> dict[str, Any]:
    found: dict[str, Any] = await api.get(kinds.RUNTIMES, "plc-1", NAMESPACE)
    return found


async def test_it_is_assigned_to_the_node_that_has_its_parent(api: ApiClient) -> None:
    await create(api)
    await Scheduler(api, FakeNodeDirectory(ONE), EVERYWHERE).schedule()
    assert {name: (await runtime(api))["spec"][name] for name in ("nodeName", "backend")} == {
        "nodeName": "one",
        "backend": "Docker",
    }


async def test_a_runtime_that_fits_no_node_is_stalled_and_says_what_each_node_has(api: ApiClient) -> None:
    await create(api)
    directory = FakeNodeDirectory(Candidate("two", {"eth5": ""}, ("Docker",)))
    scheduler = Scheduler(api, directory, EVERYWHERE)
    await scheduler.schedule()
    found = await runtime(api)
    conditions = {c["type"]: (c["status"], c["reason"], c["message"]) for c in found["status"]["conditions"]}
    sentence = "no node has eth0 (two: it has eth5)"
    assert conditions["Stalled"] == ("True", "NoNodeFits", sentence)
    assert conditions["Ready"] == ("False", "NoNodeFits", sentence)
    await scheduler.schedule()
    assert (await runtime(api))["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
    directory.candidates = (ONE,)
    await scheduler.schedule()
    assert (await runtime(api))["spec"]["nodeName"] == "one"


@pytest.mark.parametrize("interval", [0.2, 3600.0], ids=["by time", "by change"])
async def test_a_runtime_created_later_is_assigned(api: ApiClient, interval: float) -> None:
    scheduler = Scheduler(api, FakeNodeDirectory(ONE), EVERYWHERE, interval=interval)
    tasks = [asyncio.create_task(work) for work in (scheduler.controller.run(), scheduler.follow())]
    await asyncio.sleep(0)
    await create(api)

    async def assigned() -> bool:
        return bool((await runtime(api))["spec"].get("nodeName") == "one")

    await eventually(assigned, "it has a node")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_runtime_in_a_namespace_that_is_not_served_gets_no_node(api: ApiClient) -> None:
    await create(api)
    await Scheduler(api, FakeNodeDirectory(ONE), ServedNamespaces(frozenset(("elsewhere",)))).schedule()
    found = await runtime(api)
    assert "nodeName" not in found["spec"]
    stalled = next(c for c in found["status"]["conditions"] if c["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NamespaceNotServed")
