"""The state of the cloud link on every EdgeNode: written by the leader, preserved by the nodes."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import edgenodes, kinds
from controller.machinery.client import ApiClient
from controller.metrics.host import HostReading
from controller.nodes.cluster.cloud_status_publisher import CloudStatusPublisher
from controller.nodes.edgenode_status import Cloud, EdgeNodePublisher, Sources

UP = Cloud("True", "Connected", "Connected to https://cloud", "07048933", edgenodes.CloudLink(url="https://cloud"))
DOWN = Cloud("False", "Disconnected", "the cloud cannot be reached", "07048933")


@pytest.fixture
async def node(api: ApiClient) -> EdgeNodePublisher:
    """A node of a cluster that has written its EdgeNode."""

    async def nothing() -> list[Any]:
        return []

    node = EdgeNodePublisher(api, "one", "1", Sources(lambda: HostReading(1, 2, 3, 4, 5, 6), nothing, nothing, nothing))
    await node.sync()
    return node


async def shown(api: ApiClient) -> dict[str, Any]:
    """The EdgeNode's status, its conditions by type."""
    found: dict[str, Any] = (await api.get(kinds.EDGE_NODES, "one"))["status"]
    return {**found, "conditions": {c["type"]: c["status"] for c in found["conditions"]}}


async def test_a_node_preserves_the_condition_that_the_leader_wrote(api: ApiClient, node: EdgeNodePublisher) -> None:
    await CloudStatusPublisher(api, lambda: UP).write()
    before = await shown(api)
    assert before["conditions"] == {"Ready": "True", "CloudConnected": "True", "DiskFull": "False"}
    assert (before["agentId"], before["cloud"]["url"]) == ("07048933", "https://cloud")
    node._written = float("-inf")  # a minute later
    await node.sync()
    after = await shown(api)
    assert {name: after[name] for name in ("conditions", "agentId", "cloud")} == {
        name: before[name] for name in ("conditions", "agentId", "cloud")
    }


async def test_it_is_written_only_when_it_changed(api: ApiClient, node: EdgeNodePublisher) -> None:
    clouds = [UP, UP, DOWN]
    publisher = CloudStatusPublisher(api, lambda: clouds.pop(0))
    versions = []
    for _ in range(3):
        await publisher.write()
        versions.append((await api.get(kinds.EDGE_NODES, "one"))["metadata"]["resourceVersion"])
    assert versions[0] == versions[1] != versions[2]
    found = await shown(api)
    assert found["conditions"]["CloudConnected"] == "False"
    assert "url" not in found["cloud"] or found["cloud"]["url"] == ""
