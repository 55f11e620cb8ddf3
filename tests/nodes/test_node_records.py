"""What the API has about a node is read again after a write, and only then if the API is our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller.api import kinds
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.machinery.client import ApiClient
from controller.machinery.kinds import Kind
from controller.nodes.node_records import NodeRecords, Use
from tests.support.embedded_api import EmbeddedApi

NAME = "node-1"
SPEC = {"deviceId": "plc-1", "image": "registry.test/runtime", "nodeName": NAME, "backend": "Docker"}
INTERFACE = {"name": "lan0", "parentInterface": "eth0", "mode": "Dhcp"}
READY = {"type": "Ready", "status": "True", "reason": "Running", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class NotingClient(ApiClient):
    """Notes the lists."""

    lists = 0

    async def list(self, kind: Kind, *args: Any, **selectors: str) -> list[dict[str, Any]]:
        self.lists += 1
        return await super().list(kind, *args, **selectors)


@pytest.fixture
async def api(embedded_api: EmbeddedApi) -> AsyncIterator[NotingClient]:
    """The client of the process that serves the API, with one Runtime of the node."""
    api = NotingClient(embedded_api.own_endpoint)
    runtime = {"metadata": {"name": "plc-1", "namespace": "edge"}, "spec": {**SPEC, "interfaces": [INTERFACE]}}
    await api.create(kinds.RUNTIMES, runtime)
    yield api
    await api.close()
    await embedded_api.clear()


async def test_without_a_write_nothing_is_read_again(api: NotingClient) -> None:
    records = NodeRecords(api, NAME, EVERYWHERE)
    await records.read()  # creates the EdgeNode
    first = await records.read()
    lists = api.lists
    assert await records.read() == first
    assert api.lists == lists
    assert first.uses == [Use("plc-1", ("eth0",), "")]


async def test_a_written_status_is_read(api: NotingClient) -> None:
    records = NodeRecords(api, NAME, EVERYWHERE)
    assert (await records.read()).counts == {}
    await api.patch(kinds.RUNTIMES, "plc-1", "edge", {"status": {"conditions": [READY]}}, subresource="status")
    assert (await records.read()).counts == {("Ready", "True"): 1}


async def test_a_condition_that_another_process_wrote_is_read(api: NotingClient) -> None:
    records = NodeRecords(api, NAME, EVERYWHERE)
    await records.read()
    await records.read()
    await api.patch(kinds.EDGE_NODES, NAME, "", {"status": {"conditions": [READY]}}, subresource="status")
    assert [condition.reason for condition in (await records.read()).conditions] == ["Running"]


async def test_a_removed_runtime_is_no_longer_counted(api: NotingClient, embedded_api: EmbeddedApi) -> None:
    records = NodeRecords(api, NAME, EVERYWHERE)
    await records.read()
    await embedded_api.clear()
    assert (await records.read()).uses == []


async def test_through_another_connection_everything_is_read_each_time(embedded_api: EmbeddedApi) -> None:
    async def lists(api: NotingClient) -> int:
        records = NodeRecords(api, NAME, EVERYWHERE)
        for _ in range(3):
            await records.read()
        return api.lists

    api = NotingClient(embedded_api.client()._endpoint)
    assert await lists(api) == 3
    await api.close()


async def test_a_runtime_in_a_namespace_that_is_not_served_uses_nothing(api: NotingClient) -> None:
    records = NodeRecords(api, NAME, ServedNamespaces(frozenset(("elsewhere",))))
    assert (await records.read()).uses == []
