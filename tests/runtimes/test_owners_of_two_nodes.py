"""Runtimes with one deviceId on two nodes: at most one of them has a container."""

from __future__ import annotations

import asyncio

import pytest

from tests.runtimes.cell import Cell
from tests.runtimes.world import World


class TestOnTwoNodes:
    """Each node has a process of its own, and they share the API only."""

    @pytest.fixture
    async def nodes(self) -> tuple[Cell, World, World]:
        cell = Cell(World(claims=False))
        await cell.add("a")
        await cell.add("b", nodeName="node-2")
        return cell, cell.world, World(api=cell.world.api, node="node-2", claims=False)

    async def test_one_owns_the_device_id_on_both(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        await cell.look("b", other)
        assert cell.stalled("b")
        assert "on node node-1" in cell.body("b")["status"]["error"]
        assert other.backend.effects == []

    async def test_looking_at_once_at_most_one_makes_a_container(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        for _ in range(4):
            await asyncio.gather(cell.look("a", one), cell.look("b", other))
            assert len(one.backend.containers) + len(other.backend.containers) <= 1
        await cell.look("a", one)
        await cell.look("b", other)
        assert len(one.backend.containers) + len(other.backend.containers) == 1

    async def test_the_other_is_made_when_the_owner_is_gone(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        await cell.look("b", other)
        await cell.delete("a", one)
        assert one.backend.containers == {}
        assert (await cell.look("b", other)).settled
        assert other.backend.only().state == "running"

    async def test_one_that_an_older_version_runs_elsewhere_is_not_overtaken(
        self, nodes: tuple[Cell, World, World]
    ) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        cell.lose_claims()
        await cell.look("b", other)
        assert cell.stalled("b")
        assert other.backend.effects == []
