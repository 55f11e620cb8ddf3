"""What happens to a runtime from outside is noticed by the next pass, put right and explained."""

from __future__ import annotations

import pytest

from controller import errors
from controller.api import reasons, runtimes
from controller.backends import base
from tests.runtimes.world import IDENTITY, LAN, World


async def running(world: World) -> None:
    await world.create()
    await world.reconcile()


async def test_a_container_stopped_by_hand_is_started(world: World) -> None:
    await running(world)
    world.backend.end(world.backend.only(), "exited", 0)
    assert (await world.reconcile()).settled
    assert world.backend.only().state == "running"
    assert world.records() == [("Stopped", "ByHand", "exit code 0"), ("Started", "ByHand", "exit code 0")]


async def test_a_container_removed_by_hand_is_made_again_from_the_same_image(world: World) -> None:
    await running(world)
    world.backend.registry.clear()
    world.backend.containers.clear()
    assert (await world.reconcile()).settled
    assert world.backend.only().image == "pin-1"
    assert world.status()["restartCount"] == 1


async def test_a_start_is_counted_also_when_the_first_attempt_at_it_fails(world: World) -> None:
    await running(world)
    world.backend.containers.clear()

    def fail_once(when: str, step: base.Step) -> None:
        if step is base.Step.START_CONTAINER:
            world.backend.fault = lambda when, step: None
            raise errors.Retry(reasons.STEP_FAILED, "the engine is busy")

    world.backend.fault = fail_once
    assert not (await world.reconcile()).settled
    assert (await world.reconcile()).settled
    assert world.status()["restartCount"] == 1


async def test_a_mac_address_outlives_the_container(world: World) -> None:
    await running(world)
    before = world.status()["interfaces"]
    world.backend.containers.clear()
    world.backend.missing_parents.add("eth0")
    await world.reconcile()
    assert world.status()["interfaces"] == before


async def test_an_interface_disconnected_by_hand_is_attached_without_a_restart(world: World) -> None:
    await running(world)
    started = world.backend.only().started_at
    world.backend.only().attached.clear()
    assert (await world.reconcile()).settled
    assert world.backend.only().started_at == started
    assert ("Normal", reasons.REPAIRED) in await world.events()
    assert world.status()["restartCount"] == 0


async def test_a_repair_that_does_not_help_is_told_and_not_repeated_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(world)
    world.backend.only().attached["lan0"] = runtimes.Interface.model_validate({**LAN, "address": "10.0.0.99"})
    repairs: list[base.Step] = []

    async def in_vain(target: base.Target, progress: base.Progress) -> None:
        repairs.append(base.Step.REPAIR_NETWORKS)

    monkeypatch.setattr(world.backend, "_RepairNetworks", in_vain)
    result = await world.reconcile()
    assert (result.outcome.kind, result.outcome.reason) == ("retry", reasons.DETACHED)
    assert len(repairs) == 1
    assert world.condition("NetworkAttached")["status"] == "False"


async def test_a_repair_that_comes_half_way_is_gone_on_with_and_not_told_as_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(world)
    whole = world.backend.only().attached.pop("lan0")
    left = [runtimes.Interface.model_validate({**LAN, "address": "10.0.0.99"}), whole]

    async def one_more(target: base.Target, progress: base.Progress) -> None:
        world.backend.only().attached["lan0"] = left.pop(0)

    monkeypatch.setattr(world.backend, "_RepairNetworks", one_more)
    assert (await world.reconcile()).settled
    assert ("Warning", reasons.DETACHED) not in await world.events()


async def test_an_address_changes_on_the_running_container(world: World) -> None:
    await running(world)
    started = world.backend.only().started_at
    await world.change(interfaces=[{**LAN, "address": "10.0.0.6"}])
    assert (await world.reconcile()).settled
    assert world.status()["interfaces"][0]["address"] == "10.0.0.6"
    assert world.backend.only().started_at == started


async def test_a_parent_interface_that_is_missing_is_waited_for(world: World) -> None:
    world.backend.missing_parents.add("eth0")
    await world.create()
    result = await world.reconcile()
    assert (result.outcome.kind, result.outcome.reason) == ("waiting", reasons.PARENT_MISSING)
    assert world.status()["operation"]["name"] == "creating"
    assert IDENTITY not in world.backend.containers
    world.backend.missing_parents.clear()
    assert (await world.reconcile()).settled


async def test_a_parent_interface_that_goes_stops_nothing(world: World) -> None:
    await running(world)
    world.backend.missing_parents.add("eth0")
    await world.reconcile()
    assert world.backend.only().state == "running"
    assert world.condition("Reconciling")["reason"] == reasons.PARENT_MISSING


async def test_the_time_of_a_condition_moves_only_when_it_flips(world: World) -> None:
    await running(world)
    first = world.condition("Ready")["lastTransitionTime"]
    world.now += 100
    world.backend.only().health = "healthy"
    await world.reconcile()
    assert world.condition("Healthy")["status"] == "True"
    assert world.condition("Ready")["lastTransitionTime"] == first
