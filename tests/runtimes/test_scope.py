"""Whose a Runtime is: only the controller it belongs to touches it, and one of nobody is taken once."""

from __future__ import annotations

import pytest

from controller.api import reasons
from controller.runtimes.reconciler import NOT_HELD
from tests.runtimes.world import World


async def test_a_runtime_without_our_finalizer_is_not_touched(world: World) -> None:
    await world.create()
    world.object()["metadata"]["finalizers"] = []
    assert await world.reconcile() == NOT_HELD
    assert world.backend.effects == []
    assert world.status() == {}


OTHERS = [pytest.param({"nodeName": "node-2"}, id="node"), pytest.param({"backend": "Pod"}, id="backend")]


@pytest.mark.parametrize("other", OTHERS)
async def test_another_nodes_or_backends_runtime_is_not_touched(world: World, other: dict[str, str]) -> None:
    world.claims = False
    world.restart_controller()
    await world.create(**other)
    await world.reconcile()
    assert world.backend.effects == []
    assert world.status() == {}


@pytest.mark.parametrize("other", OTHERS)
async def test_the_only_node_there_is_tells_that_nobody_runs_it(world: World, other: dict[str, str]) -> None:
    await world.create(**other)
    await world.reconcile()
    assert world.backend.effects == []
    assert world.condition("Stalled")["reason"] == reasons.SPEC_IMPOSSIBLE
    await world.delete()
    assert (await world.reconcile()).settled


async def test_a_runtime_of_nobody_is_taken_once(world: World) -> None:
    await world.create(nodeName=None, backend=None)
    await world.reconcile()
    spec = world.object()["spec"]
    assert (spec["nodeName"], spec["backend"]) == ("node-1", "Docker")
    assert world.condition("Ready")["status"] == "True"
