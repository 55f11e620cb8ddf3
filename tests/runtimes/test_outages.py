"""While no status can be written, containers are still repaired; steps that are not repeatable wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.runtimes.harness import KEY, Harness
from tests.support.direct_api import no_fault
from tests.support.fake_backend import Container

REFUSALS = [
    errors.ApiUnavailableError("the disk is full", code=507),
    errors.ApiUnavailableError("the database cannot be used", code=503),
    errors.ApiError("the quota is used up", code=403),
    errors.InvalidError("the schema is an older one", code=422),
]
full_disk = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.code))


@pytest.fixture
async def running(harness: Harness) -> Harness:
    await harness.create()
    await harness.reconcile()
    return harness


def refuse_writes(harness: Harness, refusal: errors.ApiError = REFUSALS[0]) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise refusal

    harness.api.fault = refuse


def hold_writes(harness: Harness) -> asyncio.Event:
    """Let every write wait for the returned event."""
    released = asyncio.Event()

    async def wait(verb: str, kind: Kind) -> None:
        if verb == "patch":
            await released.wait()

    harness.api.fault = wait
    return released


def silence(harness: Harness) -> None:
    """Fail every request to the API."""

    def refuse(verb: str, kind: Kind) -> None:
        raise errors.ApiUnavailableError("no answer")

    harness.api.fault = refuse


def answer_again(harness: Harness) -> None:
    harness.api.fault = no_fault


def crash(harness: Harness) -> Container:
    """Let the engine restart the program, without its LAN interfaces."""
    container = harness.backend.only()
    harness.backend.end(container, "restarting", 3)
    harness.backend.crash(container)
    container.attached.clear()
    return container


@full_disk
async def test_a_crashed_runtime_is_repaired_while_no_status_can_be_written(
    running: Harness, refusal: errors.ApiError
) -> None:
    container = crash(running)
    refuse_writes(running, refusal)
    assert not (await running.reconcile()).settled
    assert list(container.attached) == ["lan0"]


@full_disk
async def test_a_killed_runtime_is_started_while_no_status_can_be_written(
    running: Harness, refusal: errors.ApiError
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


async def test_every_start_during_a_long_outage_is_recorded_afterwards(
    running: Harness,
) -> None:
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


async def test_restarts_before_an_outage_are_kept(running: Harness) -> None:
    crash(running)
    await running.reconcile()
    silence(running)
    crash(running)
    await running.reconcile()
    answer_again(running)
    await running.reconcile()
    assert [cause for _, cause, _ in running.records()] == ["Crashed"] * 4
    assert running.status()["restartCount"] == 2


async def test_a_runtime_is_stopped_while_no_status_can_be_written(running: Harness) -> None:
    await running.change(desiredState="Stopped")
    refuse_writes(running)
    await running.reconcile()
    assert running.backend.only().state == "exited"
    answer_again(running)
    assert (await running.reconcile()).settled
    assert running.records() == [("Stopped", "Requested", "spec.desiredState is Stopped")]


@pytest.mark.parametrize("state", ["Stopped", "Running"])
async def test_a_stop_or_start_does_not_wait_for_its_record(running: Harness, state: str) -> None:
    await running.change(desiredState="Stopped")
    if state == "Running":
        await running.reconcile()
        await running.change(desiredState="Running")
    released = hold_writes(running)
    passing = asyncio.create_task(running.reconcile())
    expected = "exited" if state == "Stopped" else "running"
    await running.api.until(lambda: running.backend.only().state == expected)
    assert not passing.done()
    released.set()
    assert (await passing).settled
    assert running.status()["observedGeneration"] == running.object()["metadata"]["generation"]


async def test_a_restart_waits_for_its_record(running: Harness) -> None:
    await running.change(restartedAt="2026-02-02T00:00:00Z")
    released = hold_writes(running)
    passing = asyncio.create_task(running.reconcile())
    await running.api.until(lambda: running.api.requests[-1][0] == "patch")
    assert "restart" not in running.backend.effects
    released.set()
    assert (await passing).settled
    assert "restart" in running.backend.effects


async def test_a_runtime_that_is_gone_by_the_time_of_its_record_is_reported_as_gone(running: Harness) -> None:
    await running.change(desiredState="Stopped")
    refuse_writes(running, errors.NotFoundError("there is no such Runtime", code=404))
    assert (await running.reconcile()).outcome.kind == "gone"


async def test_a_runtime_that_is_created_again_gets_no_status_of_its_namesake(running: Harness) -> None:
    await running.change(desiredState="Stopped")
    released = hold_writes(running)
    passing = asyncio.create_task(running.reconcile())
    await running.api.until(lambda: running.backend.only().state == "exited")
    await running.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    await running.create()
    released.set()
    await passing
    assert running.status() == {}
    await running.reconcile()
    assert running.summary()["Ready"] == "True"
    assert [record["cause"] for record in running.status()["restarts"]] == []


@pytest.mark.parametrize(
    "spec", [{"version": "2"}, {"restartedAt": "2026-02-02T00:00:00Z"}], ids=["replace", "restart"]
)
async def test_a_step_that_is_not_repeatable_waits_for_its_record(running: Harness, spec: dict[str, Any]) -> None:
    await running.change(**spec)
    before = running.backend.only()
    refuse_writes(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.only() is before
    assert not {"restart", "replace"} & set(running.backend.effects)


async def test_a_change_that_waits_for_its_record_blocks_no_repair(running: Harness) -> None:
    await running.change(version="2")
    container = crash(running)
    refuse_writes(running)
    await running.reconcile()
    assert list(container.attached) == ["lan0"]
    assert running.backend.only() is container


async def test_nothing_is_created_without_a_record(harness: Harness) -> None:
    await harness.create()
    refuse_writes(harness)
    with pytest.raises(errors.ApiUnavailableError):
        await harness.reconcile()
    assert (harness.backend.networks, harness.backend.containers) == (set(), {})


async def test_an_image_is_looked_up_beside_its_record(running: Harness) -> None:
    await running.change(version="2")
    released, looked_up = hold_writes(running), asyncio.Event()
    running.backend.fault = lambda when, step: looked_up.set() if when == "after" else None
    passing = asyncio.create_task(running.reconcile())
    await looked_up.wait()
    assert running.backend.effects[-1] == "resolve registry/plc:2"
    assert running.condition("Reconciling")["status"] == "False"
    released.set()
    assert (await passing).settled
    assert running.backend.only().image == "pin-2"


async def test_no_image_is_pulled_without_a_record(running: Harness) -> None:
    await running.change(version="2")
    running.backend.pull_gate = asyncio.Event()
    refuse_writes(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert not running.backend.pulling.is_set()


async def test_a_start_that_satisfies_a_restart_waits_for_its_record(running: Harness) -> None:
    await running.change(restartedAt="2026-02-02T00:00:00Z")
    running.backend.end(running.backend.only(), "exited", 137)
    refuse_writes(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.effects.count("start") == 1


async def test_an_earlier_restart_does_not_block_a_start(running: Harness) -> None:
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


async def test_a_runtime_is_repaired_by_its_last_spec_while_the_api_is_away(
    running: Harness,
) -> None:
    container = crash(running)
    silence(running)
    assert not (await running.reconcile()).settled
    assert list(container.attached) == ["lan0"]


@pytest.mark.parametrize("dedicated", [None, "eth5"], ids=["", "with a dedicated interface"])
async def test_a_failing_list_blocks_no_repair(running: Harness, dedicated: str | None) -> None:
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
async def test_a_pending_change_is_not_made_during_an_outage(running: Harness, spec: dict[str, Any]) -> None:
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
async def test_nothing_is_started_or_created_by_the_last_spec(running: Harness, state: str) -> None:
    if state == "absent":
        running.backend.containers.clear()
    else:
        running.backend.end(running.backend.only(), state, 0)
    before = list(running.backend.effects)
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert running.backend.effects == before


async def test_a_runtime_being_deleted_is_not_repaired_during_an_outage(running: Harness) -> None:
    await running.delete()
    running.backend.fault = lambda when, step: (_ for _ in ()).throw(errors.Retry("StepFailed", "busy"))
    await running.reconcile()
    running.backend.fault = lambda when, step: None
    container = crash(running)
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert not container.attached


async def test_a_pass_during_an_outage_is_never_settled(running: Harness) -> None:
    """Otherwise the deletion handler would take the cleanup for done and release the finalizer."""
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()


async def test_a_runtime_that_was_never_read_is_not_repaired(running: Harness) -> None:
    container = crash(running)
    running.restart_controller()
    silence(running)
    with pytest.raises(errors.ApiUnavailableError):
        await running.reconcile()
    assert not container.attached


async def test_a_recreated_runtime_does_not_get_the_held_status_of_the_old_one(running: Harness) -> None:
    crash(running)
    refuse_writes(running)
    await running.reconcile()
    answer_again(running)
    await running.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    running.backend.containers.clear()
    await running.reconcile()
    await running.create()
    assert (await running.reconcile()).settled
    assert running.status()["restartCount"] == 0
