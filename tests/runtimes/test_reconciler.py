"""One pass over one Runtime: from the API to the backend and back into the status."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery.kinds import Kind
from tests.runtimes.world import IDENTITY, KEY, LAN, World


async def test_a_new_runtime_runs_and_its_status_says_all_about_it(world: World) -> None:
    await world.create()
    assert (await world.reconcile()).settled
    status = world.status()
    assert world.summary() == {"Ready": "True", "Reconciling": "False", "Stalled": "False", "NetworkAttached": "True"}
    assert status["observedGeneration"] == status["appliedGeneration"] == 1
    assert status["node"] == "node-1"
    assert status["state"] == "running"
    assert (status["image"], status["imageSource"]) == ("pin-1", "registry/plc:1")
    assert status["internalIP"] == "10.213.0.2"
    assert status["interfaces"] == [
        {"name": "lan0", "address": "10.0.0.5", "macAddress": "02:00:00:00:00:01", "gateway": ""}
    ]
    assert status["restartCount"] == 0
    assert "operation" not in status
    assert "error" not in status
    assert {c["observedGeneration"] for c in status["conditions"]} == {1}


async def test_what_stands_is_not_written_again(world: World) -> None:
    await world.create()
    await world.reconcile()
    before = world.status_writes()
    await world.reconcile()
    assert world.status_writes() == before


async def test_events_tell_transitions_and_nothing_twice(world: World) -> None:
    await world.create()
    await world.reconcile()
    expected = [("Normal", reasons.CREATED), ("Normal", reasons.STARTED), ("Normal", reasons.RUNNING)]
    assert await world.events() == expected
    await world.reconcile()
    assert await world.events() == expected


async def test_the_work_under_way_is_in_the_status_before_the_first_step(world: World) -> None:
    await world.create()
    seen: list[dict[str, Any]] = []
    world.backend.fault = lambda when, step: seen.append(world.status())
    await world.reconcile()
    assert seen[0]["operation"]["name"] == "creating"
    assert seen[0].get("observedGeneration", -1) == -1
    assert {c["type"]: c["status"] for c in seen[0]["conditions"]}["Reconciling"] == "True"


async def test_a_deleted_runtime_leaves_nothing(world: World) -> None:
    await world.create()
    await world.reconcile()
    await world.delete()
    assert (await world.reconcile()).settled
    assert world.backend.containers == {}
    assert world.backend.networks == set()
    assert ("Normal", reasons.DELETED) in await world.events()


async def test_a_deletion_is_told_once_while_the_finalizer_is_still_there(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await world.create()
    await world.reconcile()
    await world.delete()
    await world.reconcile()
    await world.reconcile()
    assert caplog.messages.count("Removed the container and its networks") == 1


async def test_a_deletion_that_fails_is_told_and_tried_again(world: World) -> None:
    await world.create()
    await world.reconcile()
    await world.delete()

    def refuse(when: str, step: base.Step) -> None:
        raise errors.Retry(reasons.STEP_FAILED, "the engine is busy")

    world.backend.fault = refuse
    assert not (await world.reconcile()).settled
    assert world.status()["operation"]["name"] == "deleting"
    assert world.status()["error"] == "the engine is busy"
    world.backend.fault = lambda when, step: None
    assert (await world.reconcile()).settled
    assert world.backend.containers == {}


async def test_a_runtime_that_does_not_exist_is_settled(world: World) -> None:
    assert (await world.reconcile()).settled


@pytest.mark.parametrize(
    ("error", "flag", "observed_generation"),
    [
        (errors.Waiting(reasons.PARENT_MISSING, "eth0 is missing"), "Reconciling", -1),
        (errors.Retry(reasons.DISK_FULL, "the disk is full"), "Reconciling", -1),
        (errors.Stalled(reasons.ADDRESS_CONFLICT, "the address is taken"), "Stalled", 1),
        (RuntimeError("a fault of ours"), "Reconciling", -1),
    ],
    ids=["waiting", "retry", "stalled", "bug"],
)
async def test_every_end_of_a_pass_is_in_the_status(
    world: World, error: Exception, flag: str, observed_generation: int
) -> None:
    await world.create()

    def fail(when: str, step: base.Step) -> None:
        if step is base.Step.START_CONTAINER:
            raise error

    world.backend.fault = fail
    assert not (await world.reconcile()).settled
    assert world.summary()["Ready"] == "False"
    assert world.summary()[flag] == "True"
    assert world.condition(flag)["reason"] == getattr(error, "reason", reasons.STEP_FAILED)
    assert world.status().get("observedGeneration", -1) == observed_generation
    assert world.status()["state"] == "created"


async def test_a_daemon_that_is_away_makes_ready_unknown_and_keeps_the_last_facts(world: World) -> None:
    await world.create()
    await world.reconcile()
    world.backend.unreachable = True
    await world.reconcile()
    assert world.summary()["Ready"] == "Unknown"
    assert world.condition("Reconciling")["reason"] == reasons.DAEMON_UNREACHABLE
    assert world.status()["state"] == "running"
    world.backend.unreachable = False
    assert (await world.reconcile()).settled


async def test_a_status_that_cannot_be_written_is_an_error_for_the_queue(world: World) -> None:
    await world.create()

    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise errors.ApiUnavailableError("no answer")

    world.api.fault = refuse
    with pytest.raises(errors.ApiUnavailableError):
        await world.reconcile()
    assert world.backend.effects == []


async def test_a_restart_asked_for_is_made_once_even_if_its_status_was_never_written(world: World) -> None:
    await world.create()
    await world.reconcile()
    await world.change(restartedAt="2026-02-02T00:00:00Z")
    world.api.fault = lambda verb, kind: None
    writes = world.status_writes()

    def lose_the_last_write(verb: str, kind: Kind) -> None:
        if verb == "patch" and world.status_writes() > writes + 1:
            raise errors.ApiUnavailableError("no answer")

    world.api.fault = lose_the_last_write
    assert not (await world.reconcile()).settled
    world.api.fault = lambda verb, kind: None
    world.restart_controller()
    await world.reconcile()
    assert world.backend.effects.count("restart") == 1
    assert world.status()["restarts"][-1]["cause"] == "Requested"


async def test_a_stalled_change_is_tried_again(world: World) -> None:
    await world.create()
    await world.reconcile()
    await world.change(version="9")
    await world.reconcile()
    world.backend.registry["registry/plc:9"] = "pin-9"
    assert (await world.reconcile()).settled
    assert world.status()["image"] == "pin-9"


async def test_an_adopted_container_is_not_restarted(world: World) -> None:
    await world.create()
    await world.reconcile()
    started = world.backend.only().started_at
    world.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    world.restart_controller()
    await world.create(restartedAt="2026-02-02T00:00:00Z")
    assert (await world.reconcile()).settled
    assert world.backend.only().started_at == started
    assert ("Normal", reasons.ADOPTED) in await world.events()


async def test_the_pinned_mac_address_goes_to_the_backend(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.create()
    await world.reconcile()
    seen: list[dict[str, str]] = []
    observe = world.backend.observe

    async def spy(target: base.Target) -> base.Observed:
        seen.append(target.mac_addresses)
        return await observe(target)

    monkeypatch.setattr(world.backend, "observe", spy)
    await world.reconcile()
    await world.change(interfaces=[{**LAN, "macAddress": "02:aa:aa:aa:aa:aa"}])
    await world.reconcile()
    assert seen[0] == {"lan0": "02:00:00:00:00:01"}
    assert seen[-1] == {}


async def test_a_spec_that_this_version_cannot_read_is_told_and_nothing_touched(world: World) -> None:
    await world.create()
    await world.reconcile()
    before = list(world.backend.effects)
    await world.change(desiredState="Hibernating")
    result = await world.reconcile()
    assert result.outcome.kind == "stalled"
    assert "desired" in world.condition("Stalled")["message"]
    assert world.status()["image"] == "pin-1"
    assert world.backend.effects == before
    await world.delete()
    assert (await world.reconcile()).settled
    assert world.backend.containers == {}


async def test_a_step_in_the_middle_of_a_plan_is_not_made_for_a_wish_that_is_gone(world: World) -> None:
    await world.create()

    def delete_after_creation(when: str, step: base.Step) -> None:
        if when == "after" and step is base.Step.CREATE_CONTAINER:
            world.object()["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            world.interrupted.set()

    world.backend.fault = delete_after_creation
    assert (await world.reconcile()).again
    assert "start" not in world.backend.effects
    assert names.FINALIZER in world.object()["metadata"]["finalizers"]
    assert IDENTITY in world.backend.containers
