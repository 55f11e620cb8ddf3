"""Setting the wall clock changes no causes, counts or intervals."""

from __future__ import annotations

import asyncio

import pytest

from controller.api import reasons
from controller.backends import base
from controller.runtimes import reconciliation, status_throttle
from tests.runtimes.harness import Harness

HOUR, DECADES = 3600.0, 54 * 365 * 86400.0
STEPS = {"an hour back": -HOUR, "decades back": -DECADES, "decades ahead": DECADES}


@pytest.fixture
async def running(harness: Harness) -> Harness:
    """A running Runtime."""
    await harness.create()
    await harness.reconcile()
    return harness


def crash(harness: Harness) -> None:
    """Its program exits with 3, and the engine restarts it."""
    container = harness.backend.only()
    harness.backend.end(container, "restarting", 3)
    harness.backend.crash(container)


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_is_recorded_as_a_crash(running: Harness, step: str) -> None:
    running.set_clock(running.now + STEPS[step])
    crash(running)
    await running.reconcile()
    assert running.records() == [("Stopped", "Crashed", "exit code 3"), ("Started", "Crashed", "exit code 3")]
    assert running.status()["restartCount"] == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_clock_change_alone_is_not_recorded(running: Harness, step: str) -> None:
    before = running.status()
    running.set_clock(running.now + STEPS[step])
    running.restart_controller()
    await running.reconcile()
    assert running.status() == before


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_loop_stays_throttled(running: Harness, step: str) -> None:
    for _ in range(2 * status_throttle.BURST):
        crash(running)
        result = await running.reconcile()
    assert 0 < result.held_seconds <= status_throttle.WRITE_INTERVAL_SECONDS
    running.set_clock(running.now + STEPS[step])
    crash(running)
    assert 0 < (await running.reconcile()).held_seconds <= status_throttle.WRITE_INTERVAL_SECONDS
    running.now += status_throttle.WRITE_INTERVAL_SECONDS
    assert not (await running.reconcile()).held_seconds
    assert running.status()["restartCount"] == 2 * status_throttle.BURST + 1


async def test_pull_progress_is_reported_after_the_clock_is_set_back(harness: Harness) -> None:
    await harness.create()
    harness.backend.pull_gate = asyncio.Event()
    written = asyncio.Event()

    async def pull(target: base.Target, progress: base.Progress) -> None:
        await progress(reasons.IMAGE_PULLING, "Pulling: 10 %")
        harness.set_clock(harness.now - HOUR)
        harness.now += reconciliation.PROGRESS_SECONDS
        await progress(reasons.IMAGE_PULLING, "Pulling: 20 %")
        written.set()
        await asyncio.Event().wait()

    harness.backend._ResolveImage = pull  # type: ignore[method-assign,assignment]
    under_way = asyncio.create_task(harness.reconcile())
    await asyncio.wait_for(written.wait(), 30)
    assert harness.condition("Ready")["message"] == "Pulling: 20 %"
    under_way.cancel()
    await asyncio.wait([under_way])
