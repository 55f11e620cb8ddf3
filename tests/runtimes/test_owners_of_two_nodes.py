"""Of two Runtimes with one deviceId on two nodes, at most one has a container."""

from __future__ import annotations

import asyncio

import pytest

from tests.runtimes.harness import Harness
from tests.runtimes.shared_device import SharedDevice
from tests.support.direct_api import DirectApi


class TestTwoNodes:
    """Two processes that share only the API."""

    @pytest.fixture
    async def nodes(self, direct_api: DirectApi) -> tuple[SharedDevice, Harness, Harness]:
        shared = SharedDevice(Harness(direct_api, claims=False))
        await shared.add("a")
        await shared.add("b", nodeName="node-2")
        return shared, shared.harness, Harness(direct_api, node="node-2", claims=False)

    async def test_one_runtime_owns_the_device_id_on_both_nodes(
        self, nodes: tuple[SharedDevice, Harness, Harness]
    ) -> None:
        shared, one, other = nodes
        await shared.reconcile("a", one)
        await shared.reconcile("b", other)
        assert shared.stalled("b")
        assert "on node node-1" in shared.body("b")["status"]["error"]
        assert other.backend.effects == []

    async def test_concurrent_passes_create_at_most_one_container(
        self, nodes: tuple[SharedDevice, Harness, Harness]
    ) -> None:
        shared, one, other = nodes
        for _ in range(4):
            await asyncio.gather(shared.reconcile("a", one), shared.reconcile("b", other))
            assert len(one.backend.containers) + len(other.backend.containers) <= 1
        await shared.reconcile("a", one)
        await shared.reconcile("b", other)
        assert len(one.backend.containers) + len(other.backend.containers) == 1

    async def test_the_other_runtime_is_created_when_the_owner_is_gone(
        self, nodes: tuple[SharedDevice, Harness, Harness]
    ) -> None:
        shared, one, other = nodes
        await shared.reconcile("a", one)
        await shared.reconcile("b", other)
        await shared.delete("a", one)
        assert one.backend.containers == {}
        assert (await shared.reconcile("b", other)).settled
        assert other.backend.only().state == "running"

    async def test_a_container_of_an_older_version_on_another_node_keeps_its_owner(
        self, nodes: tuple[SharedDevice, Harness, Harness]
    ) -> None:
        shared, one, other = nodes
        await shared.reconcile("a", one)
        await shared.lose_claims()
        await shared.reconcile("b", other)
        assert shared.stalled("b")
        assert other.backend.effects == []
