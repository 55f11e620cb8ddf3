"""One pass over one Runtime: from the API to the backend and back to the status."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.backends import base
from controller.backends.observation import Observed
from controller.machinery.kinds import Kind
from tests.runtimes.harness import IDENTITY, KEY, LAN, Harness
from tests.support.direct_api import no_fault


async def test_a_new_runtime_runs_and_has_a_complete_status(harness: Harness) -> None:
    await harness.create()
    assert (await harness.reconcile()).settled
    status = harness.status()
    assert harness.summary() == {"Ready": "True", "Reconciling": "False", "Stalled": "False", "NetworkAttached": "True"}
    assert status["observedGeneration"] == status["appliedGeneration"] == 1
    assert status["node"] == "node-1"
    assert status["state"] == "Running"
    assert (status["image"], status["imageSource"]) == ("pin-1", "registry/plc:1")
    assert status["internalIP"] == "10.213.0.2"
    assert status["interfaces"] == [
        {"name": "lan0", "address": "10.0.0.5", "macAddress": "02:00:00:00:00:01", "gateway": ""}
    ]
    assert status["restartCount"] == 0
    assert "operation" not in status
    assert "error" not in status
    assert {c["observedGeneration"] for c in status["conditions"]} == {1}


async def test_an_unchanged_status_is_not_written(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    before = harness.status_writes()
    await harness.reconcile()
    assert harness.status_writes() == before


async def test_events_are_recorded_on_transitions_only(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    expected = [("Normal", reasons.CREATED), ("Normal", reasons.STARTED), ("Normal", reasons.RUNNING)]
    assert await harness.events() == expected
    await harness.reconcile()
    assert await harness.events() == expected


async def test_the_operation_is_in_the_status_before_anything_is_created(harness: Harness) -> None:
    await harness.create()
    seen: list[dict[str, Any]] = []

    def note(when: str, step: base.Step) -> None:
        if step is base.Step.CREATE_CONTAINER:
            seen.append(harness.status())

    harness.backend.fault = note
    await harness.reconcile()
    assert seen[0]["operation"]["name"] == "creating"
    assert seen[0].get("observedGeneration", -1) == -1
    assert {c["type"]: c["status"] for c in seen[0]["conditions"]}["Reconciling"] == "True"


async def test_the_backend_learns_of_a_likely_start_and_of_the_coming_steps_of_each_plan(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.reconcile()
    assert harness.backend.expected == [
        (base.Step.START_CONTAINER,),
        (base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER),
    ]


@pytest.mark.parametrize("spec", [{"paused": True}, {"desiredState": "Stopped"}])
async def test_no_start_is_likely_that_the_spec_excludes(harness: Harness, spec: dict[str, Any]) -> None:
    await harness.create(**spec)
    await harness.reconcile()
    assert (base.Step.START_CONTAINER,) not in harness.backend.expected


async def test_a_start_that_is_prevented_is_likely_once_per_spec(harness: Harness) -> None:
    harness.image_prefixes = ("elsewhere/",)
    harness.restart_controller()
    await harness.create()
    for _ in range(3):
        await harness.reconcile()
    assert harness.backend.expected == [(base.Step.START_CONTAINER,)]


async def test_a_running_container_is_expected_to_start_by_its_plan_only(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.expected.clear()
    await harness.change(restartedAt="2026-01-01T12:00:00Z")
    await harness.reconcile()
    assert harness.backend.expected == [(base.Step.RESTART_CONTAINER,)]


@pytest.mark.parametrize(("change", "looks"), [({"restartedAt": "2026-01-01T12:00:00Z"}, 1), ({"version": "2"}, 2)])
async def test_a_predecessor_is_looked_for_at_first_and_after_a_replacement(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], looks: int
) -> None:
    await harness.create()
    await harness.reconcile()
    observe, looked = harness.backend.observe, list[bool]()

    async def note(target: base.Target, *, predecessor: bool) -> Observed:
        looked.append(predecessor)
        return await observe(target, predecessor=predecessor)

    monkeypatch.setattr(harness.backend, "observe", note)
    await harness.change(**change)
    await harness.reconcile()
    assert looked.count(True) == looks < len(looked)


async def test_a_deleted_runtime_leaves_nothing(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.delete()
    assert (await harness.reconcile()).settled
    assert harness.backend.containers == {}
    assert harness.backend.networks == set()
    assert ("Normal", reasons.DELETED) in await harness.events()


async def test_a_deletion_is_logged_once_while_the_finalizer_exists(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await harness.create()
    await harness.reconcile()
    await harness.delete()
    await harness.reconcile()
    await harness.reconcile()
    assert caplog.messages.count("Removed the container and its networks") == 1


async def test_a_failed_deletion_is_reported_and_retried(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.delete()

    def refuse(when: str, step: base.Step) -> None:
        raise errors.Retry(reasons.STEP_FAILED, "the engine is busy")

    harness.backend.fault = refuse
    assert not (await harness.reconcile()).settled
    assert harness.status()["operation"]["name"] == "deleting"
    assert harness.status()["error"] == "the engine is busy"
    harness.backend.fault = lambda when, step: None
    assert (await harness.reconcile()).settled
    assert harness.backend.containers == {}


async def test_a_runtime_that_does_not_exist_is_settled(harness: Harness) -> None:
    assert (await harness.reconcile()).settled


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
async def test_every_outcome_of_a_pass_is_in_the_status(
    harness: Harness, error: Exception, flag: str, observed_generation: int
) -> None:
    await harness.create()

    def fail(when: str, step: base.Step) -> None:
        if step is base.Step.START_CONTAINER:
            raise error

    harness.backend.fault = fail
    assert not (await harness.reconcile()).settled
    assert harness.summary()["Ready"] == "False"
    assert harness.summary()[flag] == "True"
    assert harness.condition(flag)["reason"] == getattr(error, "reason", reasons.STEP_FAILED)
    assert harness.status().get("observedGeneration", -1) == observed_generation
    assert harness.status()["state"] == "Created"


async def test_an_unreachable_engine_makes_ready_unknown_and_keeps_the_last_facts(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.unreachable = True
    await harness.reconcile()
    assert harness.summary()["Ready"] == "Unknown"
    assert harness.condition("Reconciling")["reason"] == reasons.DAEMON_UNREACHABLE
    assert harness.status()["state"] == "Running"
    harness.backend.unreachable = False
    assert (await harness.reconcile()).settled


async def test_a_failed_status_write_is_raised_to_the_queue(harness: Harness) -> None:
    await harness.create()

    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise errors.ApiUnavailableError("no answer")

    harness.api.fault = refuse
    with pytest.raises(errors.ApiUnavailableError):
        await harness.reconcile()
    assert harness.backend.containers == {}


async def test_a_restart_is_made_once_even_if_its_status_is_never_written(
    harness: Harness,
) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.change(restartedAt="2026-02-02T00:00:00Z")
    harness.api.fault = no_fault
    writes = harness.status_writes()

    def lose_the_last_write(verb: str, kind: Kind) -> None:
        if verb == "patch" and harness.status_writes() > writes + 1:
            raise errors.ApiUnavailableError("no answer")

    harness.api.fault = lose_the_last_write
    assert not (await harness.reconcile()).settled
    harness.api.fault = no_fault
    harness.restart_controller()
    await harness.reconcile()
    assert harness.backend.effects.count("restart") == 1
    assert harness.status()["restarts"][-1]["cause"] == "Requested"


async def test_a_stalled_change_is_retried(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.change(version="9")
    await harness.reconcile()
    harness.backend.registry["registry/plc:9"] = "pin-9"
    assert (await harness.reconcile()).settled
    assert harness.status()["image"] == "pin-9"


async def test_an_adopted_container_is_not_restarted(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    started = harness.backend.only().started_at
    await harness.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    harness.restart_controller()
    await harness.create(restartedAt="2026-02-02T00:00:00Z")
    assert (await harness.reconcile()).settled
    assert harness.backend.only().started_at == started
    assert ("Normal", reasons.ADOPTED) in await harness.events()


async def test_the_mac_address_in_the_status_is_passed_to_the_backend(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.create()
    await harness.reconcile()
    seen: list[dict[str, str]] = []
    observe = harness.backend.observe

    async def spy(target: base.Target) -> Observed:
        seen.append(target.mac_addresses)
        return await observe(target)

    monkeypatch.setattr(harness.backend, "observe", spy)
    await harness.reconcile()
    await harness.change(interfaces=[{**LAN, "macAddress": "02:aa:aa:aa:aa:aa"}])
    await harness.reconcile()
    assert seen[0] == {"lan0": "02:00:00:00:00:01"}
    assert seen[-1] == {}


async def test_an_unreadable_spec_is_reported_and_nothing_is_touched(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    before = list(harness.backend.effects)
    await harness.edit(lambda body: body["spec"].update(desiredState="Hibernating"))
    result = await harness.reconcile()
    assert result.outcome.kind == "stalled"
    assert "desired" in harness.condition("Stalled")["message"]
    assert harness.status()["image"] == "pin-1"
    assert harness.backend.effects == before
    await harness.delete()
    assert (await harness.reconcile()).settled
    assert harness.backend.containers == {}


async def test_a_plan_is_abandoned_when_the_runtime_is_deleted(harness: Harness) -> None:
    await harness.create()

    async def delete_after_creation(when: str, step: base.Step) -> None:
        if when == "after" and step is base.Step.CREATE_CONTAINER:
            await harness.delete()
            harness.interrupted.set()

    harness.backend.fault = delete_after_creation
    assert (await harness.reconcile()).again
    assert "start" not in harness.backend.effects
    assert names.FINALIZER in harness.object()["metadata"]["finalizers"]
    assert IDENTITY in harness.backend.containers


async def test_a_runtime_that_is_gone_leaves_no_status_that_waits_for_the_api(harness: Harness) -> None:
    def away(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise errors.ApiUnavailableError("no answer")

    await harness.create()
    await harness.reconcile()
    uid = harness.object()["metadata"]["uid"]
    await harness.delete()
    harness.api.fault = away
    with contextlib.suppress(errors.ApiUnavailableError):
        await harness.reconcile()
    assert harness.reconciler._throttle.held(uid)
    harness.api.fault = lambda verb, kind: None
    await harness.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    assert (await harness.reconcile()).settled
    assert harness.reconciler._throttle.held(uid) is None
