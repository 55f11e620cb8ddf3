"""The time of day is for people: wherever it is set, causes, counts and pauses are what they would have been."""

from __future__ import annotations

import asyncio

import pytest

from controller.api import reasons
from controller.backends import base
from controller.runtimes import reconciliation, status_throttle
from tests.runtimes.world import World

HOUR, DECADES = 3600.0, 54 * 365 * 86400.0
STEPS = {"an hour back": -HOUR, "decades back": -DECADES, "decades ahead": DECADES}


@pytest.fixture
async def running(world: World) -> World:
    """A Runtime that runs."""
    await world.create()
    await world.reconcile()
    return world


def crash(world: World) -> None:
    """Its program ends with 3, and the engine starts it again."""
    container = world.backend.only()
    world.backend.end(container, "restarting", 3)
    world.backend.crash(container)


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_is_a_crash(running: World, step: str) -> None:
    running.set_clock(running.now + STEPS[step])
    crash(running)
    await running.reconcile()
    assert running.records() == [("Stopped", "Crashed", "exit code 3"), ("Started", "Crashed", "exit code 3")]
    assert running.status()["restartCount"] == 1


@pytest.mark.parametrize("step", STEPS)
async def test_nothing_happened_when_nothing_happened(running: World, step: str) -> None:
    before = running.status()
    running.set_clock(running.now + STEPS[step])
    running.restart_controller()
    await running.reconcile()
    assert running.status() == before


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_loop_is_written_at_its_pace(running: World, step: str) -> None:
    for _ in range(2 * status_throttle.AT_ONCE):
        crash(running)
        result = await running.reconcile()
    assert 0 < result.held_seconds <= status_throttle.EVERY_SECONDS
    running.set_clock(running.now + STEPS[step])
    crash(running)
    assert 0 < (await running.reconcile()).held_seconds <= status_throttle.EVERY_SECONDS
    running.now += status_throttle.EVERY_SECONDS
    assert not (await running.reconcile()).held_seconds
    assert running.status()["restartCount"] == 2 * status_throttle.AT_ONCE + 1


async def test_the_progress_of_a_pull_goes_on_when_the_clock_is_set_back(world: World) -> None:
    await world.create()
    world.backend.pull_gate = asyncio.Event()
    written = asyncio.Event()

    async def pull(target: base.Target, progress: base.Progress) -> None:
        await progress(reasons.IMAGE_PULLING, "Pulling: 10 %")
        world.set_clock(world.now - HOUR)
        world.now += reconciliation.PROGRESS_SECONDS
        await progress(reasons.IMAGE_PULLING, "Pulling: 20 %")
        written.set()
        await asyncio.Event().wait()

    world.backend._ResolveImage = pull  # type: ignore[method-assign,assignment]
    under_way = asyncio.create_task(world.reconcile())
    await asyncio.wait_for(written.wait(), 30)
    assert world.condition("Ready")["message"] == "Pulling: 20 %"
    under_way.cancel()
    await asyncio.wait([under_way])
