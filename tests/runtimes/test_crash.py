"""The controller is killed before or after each step; a new one converges, and nothing is done twice."""

from __future__ import annotations

import pytest

from controller.backends import base
from tests.runtimes.world import World
from tests.support.fake_backend import Crash

WHEN = ["before", "after"]
CREATION = [base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER]
DELETION = [base.Step.REMOVE_CONTAINER, base.Step.REMOVE_NETWORKS]


def kill_at(world: World, when: str, kind: base.Step) -> None:
    """Kill the controller at the first such step."""

    def fault(now: str, step: base.Step) -> None:
        if now == when and step is kind:
            world.backend.fault = lambda when, step: None
            raise Crash

    world.backend.fault = fault


async def crash_and_recover(world: World) -> None:
    with pytest.raises(Crash):
        await world.reconcile()
    world.restart_controller()
    assert (await world.reconcile()).settled


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", CREATION)
async def test_killed_while_creating_it_is_created_and_started_once(world: World, when: str, step: base.Step) -> None:
    await world.create()
    kill_at(world, when, step)
    await crash_and_recover(world)
    assert world.backend.effects.count("create") == world.backend.effects.count("start") == 1
    assert world.status()["restartCount"] == 0


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", DELETION)
async def test_killed_while_deleting_it_goes_wholly(world: World, when: str, step: base.Step) -> None:
    await world.create()
    await world.reconcile()
    await world.delete()
    kill_at(world, when, step)
    await crash_and_recover(world)
    assert world.backend.containers == {}
    assert world.backend.networks == set()


@pytest.mark.parametrize("when", WHEN)
async def test_killed_at_a_restart_it_is_restarted_once(world: World, when: str) -> None:
    await world.create()
    await world.reconcile()
    await world.change(restartedAt="2026-02-02T00:00:00Z")
    kill_at(world, when, base.Step.RESTART_CONTAINER)
    await crash_and_recover(world)
    assert world.backend.effects.count("restart") == 1
    assert world.status()["restartCount"] == 1
    asked = "spec.restartedAt 2026-02-02T00:00:00Z"
    assert world.records() == [("Stopped", "Requested", asked), ("Started", "Requested", asked)]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("step", [base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER])
async def test_killed_while_replacing_it_is_replaced_once(world: World, when: str, step: base.Step) -> None:
    await world.create()
    await world.reconcile()
    await world.change(version="2")
    kill_at(world, when, step)
    await crash_and_recover(world)
    assert world.backend.effects.count("replace") == 1
    assert world.backend.only().image == world.status()["image"] == "pin-2"
    assert world.status()["restartCount"] == 1


@pytest.mark.parametrize("when", WHEN)
async def test_killed_at_a_stop_it_is_stopped_and_stays_so(world: World, when: str) -> None:
    await world.create()
    await world.reconcile()
    await world.change(desiredState="Stopped")
    kill_at(world, when, base.Step.STOP_CONTAINER)
    await crash_and_recover(world)
    assert world.backend.effects.count("stop") == 1
    assert world.backend.only().state == "exited"
