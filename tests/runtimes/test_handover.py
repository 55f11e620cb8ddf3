"""When its owner is deleted, a running container is handed over to another Runtime with the same deviceId."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import errors
from controller.api import claims, kinds, reasons
from controller.backends import base
from controller.machinery.kinds import Kind
from controller.runtimes.keys import Key
from tests.runtimes.harness import IDENTITY
from tests.runtimes.shared_device import SharedDevice
from tests.support.direct_api import no_fault


async def test_the_container_is_handed_over_when_its_owner_is_deleted(shared: SharedDevice) -> None:
    container, before = shared.harness.backend.only(), list(shared.harness.backend.effects)
    started = container.started_at
    await shared.add("b")
    await shared.reconcile("b")
    assert (await shared.delete("a")).wake == (Key("edge", "b"),)
    assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.only() is container
    assert shared.body("b")["status"]["startedAt"] == started
    assert shared.body("b")["status"]["appliedGeneration"] == 1
    assert shared.conditions("b")["Stalled"][0] == "False"
    assert shared.harness.backend.effects == before
    assert shared.harness.backend.successors == ["b"]
    assert ("Normal", reasons.ADOPTED) in await shared.harness.events()


async def test_it_is_handed_over_to_a_runtime_created_during_the_deletion(shared: SharedDevice) -> None:
    """GitOps tools create the new name and prune the old one at once."""
    before = list(shared.harness.backend.effects)
    await shared.harness.api.delete(kinds.RUNTIMES, "a", "edge")
    await shared.add("b")
    await shared.reconcile("b")
    assert shared.conditions("b")["Reconciling"] == ("True", reasons.DELETING)
    assert (await shared.reconcile("a")).wake == (Key("edge", "b"),)
    assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.effects == before


async def test_a_successor_without_room_for_a_claim_takes_over(shared: SharedDevice) -> None:
    before = list(shared.harness.backend.effects)
    await shared.add("b")
    copy = {"copy-of-the-manifest": "x" * (claims.ANNOTATIONS_BYTES - 50)}
    await shared.edit("b", lambda body: body["metadata"].update(annotations=copy))
    await shared.reconcile("b")
    assert (await shared.delete("a")).wake == (Key("edge", "b"),)
    for _ in range(2):
        assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.effects == before
    assert (await shared.harness.events()).count(("Warning", reasons.ANNOTATIONS_FULL)) == 1


async def test_a_successor_with_another_spec_replaces_the_container(
    shared: SharedDevice,
) -> None:
    await shared.add("b", version="2")
    await shared.reconcile("b")
    await shared.delete("a")
    assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.effects.count("replace") == 1
    assert "remove" not in shared.harness.backend.effects
    assert shared.body("b")["status"]["image"] == "pin-2"


async def test_an_earlier_restart_request_of_the_successor_is_ignored(shared: SharedDevice) -> None:
    await shared.add("b", restartedAt="2026-02-02T00:00:00Z")
    await shared.reconcile("b")
    await shared.delete("a")
    await shared.reconcile("b")
    assert "restart" not in shared.harness.backend.effects


async def test_one_of_several_waiting_runtimes_becomes_the_owner_for_good(shared: SharedDevice) -> None:
    for name in ("d", "c", "b"):
        await shared.add(name)
        await shared.reconcile(name)
    before = list(shared.harness.backend.effects)
    assert (await shared.delete("a")).wake == (Key("edge", "b"),)
    for name in ("d", "c", "b", "c", "d"):
        await shared.reconcile(name)
    assert shared.conditions("b")["Ready"][0] == "True"
    assert shared.stalled("c")
    assert shared.stalled("d")
    shared.harness.restart_controller()
    for name in ("d", "c", "b"):
        await shared.reconcile(name)
    assert shared.stalled("c")
    assert shared.conditions("b")["Ready"][0] == "True"
    assert shared.harness.backend.effects == before


@pytest.mark.parametrize("loss", ["the claim", "the status", "the memory"])
async def test_a_successor_stays_the_owner_when_one_piece_of_evidence_is_lost(shared: SharedDevice, loss: str) -> None:
    for name in ("c", "b"):
        await shared.add(name)
        await shared.reconcile(name)
    await shared.delete("a")
    await shared.reconcile("b")
    before = list(shared.harness.backend.effects)
    if loss == "the claim":
        await shared.lose_claims()
    if loss == "the status":
        await shared.edit("b", lambda body: body.pop("status"))
    shared.harness.restart_controller()
    for name in ("c", "b"):
        await shared.reconcile(name)
    assert shared.conditions("c")["Ready"][0] == "False"
    assert shared.conditions("b")["Ready"][0] == "True"
    assert shared.harness.backend.effects == before


@pytest.mark.parametrize(
    ("spec", "gone"),
    [
        ({"paused": True}, False),
        ({"desiredState": "Hibernating"}, True),
        ({"nodeName": "node-2"}, True),
        ({"backend": "Pod"}, True),
    ],
    ids=["paused", "unreadable", "of another node", "of another backend"],
)
async def test_only_a_runtime_that_can_run_here_takes_over(
    shared: SharedDevice, spec: dict[str, Any], gone: bool
) -> None:
    await shared.add("b")
    await shared.edit("b", lambda body: body["spec"].update(spec))
    await shared.delete("a")
    assert (IDENTITY not in shared.harness.backend.containers) == gone


async def test_an_active_runtime_takes_over_before_a_paused_one(shared: SharedDevice) -> None:
    await shared.add("b", paused=True)
    await shared.add("c")
    assert (await shared.delete("a")).wake == (Key("edge", "c"),)


async def test_a_runtime_being_deleted_does_not_take_over(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.reconcile("b")
    await shared.harness.api.delete(kinds.RUNTIMES, "b", "edge")
    await shared.delete("a")
    assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.containers == {}
    assert shared.harness.backend.networks == set()


async def test_a_successor_deleted_before_its_first_pass_removes_the_container(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.delete("a")
    assert (await shared.delete("b")).settled
    assert shared.harness.backend.containers == {}


async def test_a_runtime_created_during_the_removal_waits_and_gets_a_new_container(shared: SharedDevice) -> None:
    async def come() -> None:
        await shared.add("b")
        await shared.reconcile("b")

    coming: list[asyncio.Task[None]] = []

    def fault(when: str, step: base.Step) -> None:
        if when == "after" and step is base.Step.REMOVE_CONTAINER:
            shared.harness.backend.fault = lambda when, step: None
            coming.append(asyncio.ensure_future(come()))
            raise errors.Retry(reasons.STEP_FAILED, "the networks are busy")

    shared.harness.backend.fault = fault
    await shared.delete("a")
    await coming[0]
    assert shared.harness.backend.containers == {}
    await shared.reconcile("a")
    assert (await shared.reconcile("b")).settled
    assert shared.harness.backend.effects.count("create") == 2


async def test_a_failed_claim_delays_the_deletion_of_the_owner(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.reconcile("b")
    await shared.harness.api.delete(kinds.RUNTIMES, "a", "edge")

    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise errors.ApiUnavailableError("the disk is full")

    shared.harness.api.fault = refuse
    with pytest.raises(errors.ApiUnavailableError):
        await shared.reconcile("a")
    assert shared.harness.backend.only().state == "running"
    shared.harness.api.fault = no_fault
    assert (await shared.reconcile("a")).wake == (Key("edge", "b"),)


async def test_a_successor_that_disappears_during_the_handover_delays_the_deletion(shared: SharedDevice) -> None:
    await shared.add("b")

    async def vanish(successor: base.Target) -> None:
        await shared.harness.api.remove(kinds.RUNTIMES, successor.name, "edge")

    shared.harness.backend.hand_over = vanish  # type: ignore[method-assign]
    with pytest.raises(errors.Retry):
        await shared.delete("a")
    assert (await shared.reconcile("a")).settled
    assert shared.harness.backend.containers == {}


async def test_a_killed_controller_completes_its_handover_after_a_restart(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.reconcile("b")
    before = list(shared.harness.backend.effects)
    await shared.harness.api.delete(kinds.RUNTIMES, "a", "edge")
    await shared.harness.reconciler.reconcile(
        Key("edge", "a"), asyncio.Event()
    )  # and its finalizer was never taken off
    shared.harness.restart_controller()
    assert (await shared.reconcile("b")).settled
    assert (await shared.reconcile("a")).settled
    assert shared.conditions("b")["Ready"][0] == "True"
    assert shared.harness.backend.effects == before
