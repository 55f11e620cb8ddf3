"""Decommissioning deletes the objects of a node that is away, and refuses for one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.nodes.cluster import decommission, node_lease
from tests.support.embedded_api import NAMESPACE

AWAY = {"type": "Ready", "status": "Unknown", "reason": "NodeAway", "lastTransitionTime": "2026-01-01T00:00:00Z"}


async def node(api: ApiClient, name: str, *, away: bool) -> None:
    """Create a node with a Runtime that has the node's finalizer."""
    await api.create(kinds.EDGE_NODES, {"metadata": {"name": name}, "spec": {}})
    await node_lease.NodeLease(api, NAMESPACE, name, lambda: None).renew()
    if away:
        status: dict[str, Any] = {"status": {"conditions": [{**AWAY, "message": "it is away"}]}}
        await api.patch(kinds.EDGE_NODES, name, "", status, subresource="status")
    metadata = {"name": f"plc-{name}", "namespace": NAMESPACE, "finalizers": [names.FINALIZER]}
    spec = {"deviceId": f"plc-{name}", "image": "a/b", "nodeName": name, "backend": "Docker"}
    await api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": spec})


async def left(api: ApiClient) -> set[str]:
    found = [
        *await api.list(kinds.RUNTIMES),
        *await api.list(kinds.EDGE_NODES),
        *await api.list(core_kinds.LEASES, "edge"),
    ]
    return {f"{entry['kind']} {entry['metadata']['name']}" for entry in found}


@pytest.fixture
async def nodes(api: ApiClient) -> None:
    """One node that is away and one that is not."""
    await node(api, "lost", away=True)
    await node(api, "here", away=False)


@pytest.mark.usefixtures("nodes")
async def test_the_objects_of_the_node_are_deleted_and_no_others(api: ApiClient) -> None:
    before = await left(api)
    lines = await decommission.list_objects(api, "lost")
    assert await left(api) == before
    assert lines == ["Runtime edge/plc-lost", "EdgeNode lost"]
    assert await decommission.release(api, NAMESPACE, "lost") == lines
    assert await left(api) == {"Runtime plc-here", "EdgeNode here", "Lease edgenode-here"}


@pytest.mark.usefixtures("nodes")
@pytest.mark.parametrize(
    ("name", "sentence"), [("here", "node here is not away"), ("nowhere", "there is no node nowhere")]
)
async def test_a_node_that_is_not_away_is_refused(api: ApiClient, name: str, sentence: str) -> None:
    before = await left(api)
    with pytest.raises(errors.SettingError, match=sentence):
        await decommission.release(api, NAMESPACE, name)
    assert await left(api) == before
