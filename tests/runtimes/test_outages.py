"""While no status can be written a running container is still repaired; what must not happen twice waits."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.runtimes.world import KEY, World
from tests.support.fake_backend import Container

REFUSALS = [
    errors.ApiUnavailableError("the disk is full", code=507),
    errors.ApiUnavailableError("the database cannot be used", code=503),
    errors.ApiError("the quota is used up", code=403),
    errors.InvalidError("the schema is an older one", code=422),
]
full_disk = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.code))


@pytest.fixture
async def running(world: World) -> World:
    await world.create()
    await world.reconcile()
    return world


def refuse_writes(world: World, refusal: errors.ApiError = REFUSALS[0]) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise refusal

    world.api.fault = refuse


def silence(world: World) -> None:
    """The API does not answer anything."""

    def refuse(verb: str, kind: Kind) -> None:
        raise errors.ApiUnavailableError("no answer")

    world.api.fault = refuse


def answer_again(world: World) -> None:
    world.api.fault = lambda verb, kind: None


def crash(world: World) -> Container:
    """The engine has started the program again, without its further interfaces."""
    container = world.backend.only()
    world.backend.end(container, "restarting", 3)
    world.backend.crash(container)
    container.attached.clear()
    return container


@full_disk
async def test_a_crashed_runtime_gets_its_interfaces_back_while_no_status_can_be_written(
    running: World, refusal: errors.ApiError
) -> None:
    container = crash(running)
    refuse_writes(running, refusal)
    assert not (await running.reconcile()).settled
    assert list(container.attached) == ["lan0"]


@full_disk
async def test_a_runtime_ended_by_hand_is_started_again_while_no_status_can_be_written(
    running: World, refusal: errors.ApiError
) -> None:
    container = running.backend.only()
    running.backend.end(container, "exited", 137)
    refuse_writes(running, refusal)
    assert not (await running.reconcile()).settled
    assert container.state == "running"
    answer_again(running)
    assert (await running.reconcile()).settled
    assert running.records() == [("Stopped", "ByHand", "exit code 137"), ("Started", "ByHand", "exit code 137")]
    assert running.status()["restartCount"] == 1
    assert running.backend.effects.count("start") == 2


async def test_every_start_of_a_long_outage_is_recorded_once_when_the_api_answers_again(running: World) -> None:
    silence(running)
    for hours in (1, 2, 3):
        crash(running)
        running.now += hours * 3600
        assert not (await running.reconcile()).settled
    answer_again(running)
    assert (await running.reconcile()).settled
    assert [cause for _, cause, _ in running.records()] == ["Crashed"] * 6
    assert running.status()["restartCount"] == 3
    assert running.summary()["Ready"] == "True"


async def test_the_restarts_before_an_outage_are_not_forgotten(running: World) -> None:
    crash(running)
    await running.reconcile()
    silence(running)
    crash(running)
    await running.reconcile()
    answer_again(running)
    await running.reconcile()
    assert [cause for _, cause, _ in running.records()] == ["Crashed"] * 4
    assert running.status()["restartCount"] == 2


async def test_a_runtime_is_stopped_as_its_spec_asks_while_no_status_can_be_written(running: World) -> None:
    await running.change(desiredState="Stopped")
    refuse_writes(running)
    await running.reconcile()
    assert running.backend.only().state == "exited"
    answer_again(running)
    assert (await running.reconcile()).settled
    assert running.records() == [("Stopped", "Requested", "spec.desiredState is Stopped")]


@pytest.mark.parametrize(
    "spec", [{"version": "2"}, {"restartedAt": "2026-02-02T00:00:00Z"}], ids=["replace", "restart"]
)
async def test_what_must_not_happen_twice_waits_for_its_record(running: World, spec: dict[str, Any]) -> None:
    await running.change(**spec)
    before = running.backend.only()
    refuse_writes(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.only() is before
    assert not {"restart", "replace"} & set(running.backend.effects)


async def test_a_change_that_waits_for_its_record_holds_up_no_repair(running: World) -> None:
    await running.change(version="2")
    container = crash(running)
    refuse_writes(running)
    await running.reconcile()
    assert list(container.attached) == ["lan0"]
    assert running.backend.only() is container


async def test_nothing_is_created_without_a_record(world: World) -> None:
    await world.create()
    refuse_writes(world)
    with pytest.raises(errors.ApiUnavailableError):
        await world.reconcile()
    assert world.backend.effects == []


async def test_a_start_that_is_also_the_restart_asked_for_waits_for_its_record(running: World) -> None:
    await running.change(restartedAt="2026-02-02T00:00:00Z")
    running.backend.end(running.backend.only(), "exited", 137)
    refuse_writes(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.effects.count("start") == 1


async def test_a_restart_made_before_does_not_hold_up_a_start(running: World) -> None:
    await running.change(restartedAt="2026-02-02T00:00:00Z")
    await running.reconcile()
    running.backend.end(running.backend.only(), "exited", 137)
    refuse_writes(running)
    await running.reconcile()
    assert running.backend.only().state == "running"
    answer_again(running)
    running.restart_controller()
    await running.reconcile()
    assert running.backend.effects.count("restart") == 1


async def test_a_runtime_is_repaired_as_it_was_last_seen_when_the_api_does_not_answer(running: World) -> None:
    container = crash(running)
    silence(running)
    assert not (await running.reconcile()).settled
    assert list(container.attached) == ["lan0"]


@pytest.mark.parametrize("dedicated", [None, "eth5"], ids=["", "with a dedicated interface"])
async def test_a_list_that_is_not_answered_holds_up_no_repair(running: World, dedicated: str | None) -> None:
    if dedicated:
        await running.change(dedicatedInterface=dedicated)
        await running.reconcile()
    container = crash(running)

    def refuse(verb: str, kind: Kind) -> None:
        if verb == "list":
            raise errors.ApiUnavailableError("no answer")

    running.api.fault = refuse
    assert not (await running.reconcile()).settled
    assert list(container.attached) == ["lan0"]


@pytest.mark.parametrize("spec", [{"desiredState": "Stopped"}, {"version": "2"}], ids=["stop", "replace"])
async def test_a_change_seen_before_an_outage_is_not_made_during_it(running: World, spec: dict[str, Any]) -> None:
    await running.change(**spec)
    running.backend.unreachable = True
    await running.reconcile()
    running.backend.unreachable = False
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.only().state == "running"
    assert running.backend.only().image == "pin-1"


@pytest.mark.parametrize("state", ["exited", "absent"])
async def test_nothing_is_started_or_created_as_it_was_last_seen(running: World, state: str) -> None:
    if state == "absent":
        running.backend.containers.clear()
    else:
        running.backend.end(running.backend.only(), state, 0)
    before = list(running.backend.effects)
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.effects == before


async def test_a_runtime_in_deletion_is_not_repaired_as_it_was_last_seen(running: World) -> None:
    await running.delete()
    running.backend.fault = lambda when, step: (_ for _ in ()).throw(errors.Retry("StepFailed", "busy"))
    await running.reconcile()
    running.backend.fault = lambda when, step: None
    container = crash(running)
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert not container.attached


async def test_an_outage_settles_nothing_although_all_is_in_order(running: World) -> None:
    """What holds the finalizer until the cleanup is done must not take it for done."""
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()


async def test_a_new_controller_that_never_read_a_runtime_leaves_it_alone(running: World) -> None:
    container = crash(running)
    running.restart_controller()
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert not container.attached


async def test_the_status_of_a_runtime_made_anew_is_not_the_one_kept_for_the_old(running: World) -> None:
    crash(running)
    refuse_writes(running)
    await running.reconcile()
    answer_again(running)
    running.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    running.backend.containers.clear()
    await running.reconcile()
    await running.create()
    assert (await running.reconcile()).settled
    assert running.status()["restartCount"] == 0
