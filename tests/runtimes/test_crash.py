"""After a kill before or after any step, a new controller converges and repeats nothing."""

from __future__ import annotations

import pytest

from controller.backends import base
from tests.runtimes.harness import Harness
from tests.support.fake_backend import Crash

WHEN = ["before", "after"]
CREATION = [base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER]
DELETION = [base.Step.REMOVE_CONTAINER, base.Step.REMOVE_NETWORKS]


def kill_at(harness: Harness, when: str, kind: base.Step) -> None:
    """Kill the controller at the first step of this kind."""

    def fault(now: str, step: base.Step) -> None:
        if now == when and step is kind:
            harness.backend.fault = lambda when, step: None
            raise Crash

    harness.backend.fault = fault


async def crash_and_recover(harness: Harness) -> None:
    with pytest.raises(Crash):
        await harness.reconcile()
    harness.restart_controller()
    assert (await harness.reconcile()).settled


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", CREATION)
async def test_a_creation_interrupted_by_a_kill_creates_and_starts_once(
    harness: Harness, when: str, step: base.Step
) -> None:
    await harness.create()
    kill_at(harness, when, step)
    await crash_and_recover(harness)
    assert harness.backend.effects.count("create") == harness.backend.effects.count("start") == 1
    assert harness.status()["restartCount"] == 0


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", DELETION)
async def test_a_deletion_interrupted_by_a_kill_leaves_nothing(harness: Harness, when: str, step: base.Step) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.delete()
    kill_at(harness, when, step)
    await crash_and_recover(harness)
    assert harness.backend.containers == {}
    assert harness.backend.networks == set()


@pytest.mark.parametrize("when", WHEN)
async def test_a_restart_interrupted_by_a_kill_restarts_once(harness: Harness, when: str) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.change(restartedAt="2026-02-02T00:00:00Z")
    kill_at(harness, when, base.Step.RESTART_CONTAINER)
    await crash_and_recover(harness)
    assert harness.backend.effects.count("restart") == 1
    assert harness.status()["restartCount"] == 1
    detail = "spec.restartedAt 2026-02-02T00:00:00Z"
    assert harness.records() == [("Stopped", "Requested", detail), ("Started", "Requested", detail)]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", [base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER])
async def test_a_replacement_interrupted_by_a_kill_replaces_once(harness: Harness, when: str, step: base.Step) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.change(version="2")
    kill_at(harness, when, step)
    await crash_and_recover(harness)
    assert harness.backend.effects.count("replace") == 1
    assert harness.backend.only().image == harness.status()["image"] == "pin-2"
    assert harness.status()["restartCount"] == 1


@pytest.mark.parametrize("when", WHEN)
async def test_a_stop_interrupted_by_a_kill_stops_once(harness: Harness, when: str) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.change(desiredState="Stopped")
    kill_at(harness, when, base.Step.STOP_CONTAINER)
    await crash_and_recover(harness)
    assert harness.backend.effects.count("stop") == 1
    assert harness.backend.only().state == "exited"
