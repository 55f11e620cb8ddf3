"""A container whose owner is deleted goes to the next Runtime with its deviceId, running."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery.kinds import Kind
from controller.runtimes.keys import Key
from tests.runtimes.cell import Cell
from tests.runtimes.world import IDENTITY


async def test_the_container_is_handed_over_when_its_owner_is_deleted(cell: Cell) -> None:
    container, before = cell.world.backend.only(), list(cell.world.backend.effects)
    started = container.started_at
    await cell.add("b")
    await cell.look("b")
    assert (await cell.delete("a")).wake == (Key("edge", "b"),)
    assert (await cell.look("b")).settled
    assert cell.world.backend.only() is container
    assert cell.body("b")["status"]["startedAt"] == started
    assert cell.body("b")["status"]["appliedGeneration"] == 1
    assert cell.conditions("b")["Stalled"][0] == "False"
    assert cell.world.backend.effects == before
    assert cell.world.backend.heirs == ["b"]
    assert ("Normal", reasons.ADOPTED) in await cell.world.events()


async def test_it_is_handed_over_to_one_that_comes_before_the_old_one_is_gone(cell: Cell) -> None:
    """As GitOps tools do: the new name is made, and the old one pruned at once."""
    before = list(cell.world.backend.effects)
    await cell.world.api.delete(kinds.RUNTIMES, "a", "edge")
    await cell.add("b")
    await cell.look("b")
    assert cell.conditions("b")["Reconciling"] == ("True", reasons.DELETING)
    assert (await cell.look("a")).wake == (Key("edge", "b"),)
    assert (await cell.look("b")).settled
    assert cell.world.backend.effects == before


async def test_an_heir_with_another_spec_changes_the_container_as_a_change_of_the_spec_does(cell: Cell) -> None:
    await cell.add("b", version="2")
    await cell.look("b")
    await cell.delete("a")
    assert (await cell.look("b")).settled
    assert cell.world.backend.effects.count("replace") == 1
    assert "remove" not in cell.world.backend.effects
    assert cell.body("b")["status"]["image"] == "pin-2"


async def test_a_restart_that_the_heir_asked_for_before_is_not_made(cell: Cell) -> None:
    await cell.add("b", restartedAt="2026-02-02T00:00:00Z")
    await cell.look("b")
    await cell.delete("a")
    await cell.look("b")
    assert "restart" not in cell.world.backend.effects


async def test_of_several_that_wait_one_becomes_the_owner_and_stays_it(cell: Cell) -> None:
    for name in ("d", "c", "b"):
        await cell.add(name)
        await cell.look(name)
    before = list(cell.world.backend.effects)
    assert (await cell.delete("a")).wake == (Key("edge", "b"),)
    for name in ("d", "c", "b", "c", "d"):
        await cell.look(name)
    assert cell.conditions("b")["Ready"][0] == "True"
    assert cell.stalled("c")
    assert cell.stalled("d")
    cell.world.restart_controller()
    for name in ("d", "c", "b"):
        await cell.look(name)
    assert cell.stalled("c")
    assert cell.conditions("b")["Ready"][0] == "True"
    assert cell.world.backend.effects == before


@pytest.mark.parametrize("loss", ["the claim", "the status", "the memory"])
async def test_an_heir_stays_the_owner_whatever_one_of_its_marks_is_lost(cell: Cell, loss: str) -> None:
    for name in ("c", "b"):
        await cell.add(name)
        await cell.look(name)
    await cell.delete("a")
    await cell.look("b")
    before = list(cell.world.backend.effects)
    if loss == "the claim":
        cell.lose_claims()
    if loss == "the status":
        cell.body("b").pop("status")
    cell.world.restart_controller()
    for name in ("c", "b"):
        await cell.look(name)
    assert cell.conditions("c")["Ready"][0] == "False"
    assert cell.conditions("b")["Ready"][0] == "True"
    assert cell.world.backend.effects == before


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
async def test_only_one_that_can_run_here_takes_over(cell: Cell, spec: dict[str, Any], gone: bool) -> None:
    await cell.add("b", **spec)
    await cell.delete("a")
    assert (IDENTITY not in cell.world.backend.containers) == gone


async def test_one_that_is_not_paused_takes_over_before_one_that_is(cell: Cell) -> None:
    await cell.add("b", paused=True)
    await cell.add("c")
    assert (await cell.delete("a")).wake == (Key("edge", "c"),)


async def test_one_in_deletion_inherits_nothing(cell: Cell) -> None:
    await cell.add("b")
    await cell.look("b")
    await cell.world.api.delete(kinds.RUNTIMES, "b", "edge")
    await cell.delete("a")
    assert (await cell.look("b")).settled
    assert cell.world.backend.containers == {}
    assert cell.world.backend.networks == set()


async def test_an_heir_deleted_before_it_looked_removes_the_container(cell: Cell) -> None:
    await cell.add("b")
    await cell.delete("a")
    assert (await cell.delete("b")).settled
    assert cell.world.backend.containers == {}


async def test_one_that_comes_while_the_owner_is_removed_waits_and_is_made_anew(cell: Cell) -> None:
    async def come() -> None:
        await cell.add("b")
        await cell.look("b")

    coming: list[asyncio.Task[None]] = []

    def fault(when: str, step: base.Step) -> None:
        if when == "after" and step is base.Step.REMOVE_CONTAINER:
            cell.world.backend.fault = lambda when, step: None
            coming.append(asyncio.ensure_future(come()))
            raise errors.Retry(reasons.STEP_FAILED, "the networks are busy")

    cell.world.backend.fault = fault
    await cell.delete("a")
    await coming[0]
    assert cell.world.backend.containers == {}
    await cell.look("a")
    assert (await cell.look("b")).settled
    assert cell.world.backend.effects.count("create") == 2


async def test_a_handover_that_cannot_be_written_holds_the_old_one_until_it_can(cell: Cell) -> None:
    await cell.add("b")
    await cell.look("b")
    await cell.world.api.delete(kinds.RUNTIMES, "a", "edge")

    def refuse(verb: str, kind: Kind) -> None:
        if verb == "patch":
            raise errors.ApiUnavailableError("the disk is full")

    cell.world.api.fault = refuse
    with pytest.raises(errors.ApiUnavailableError):
        await cell.look("a")
    assert cell.world.backend.only().state == "running"
    cell.world.api.fault = lambda verb, kind: None
    assert (await cell.look("a")).wake == (Key("edge", "b"),)


async def test_an_heir_that_is_gone_at_that_moment_does_not_end_the_deletion(cell: Cell) -> None:
    await cell.add("b")

    async def vanish(successor: base.Target) -> None:
        cell.world.api.remove(kinds.RUNTIMES, successor.name, "edge")

    cell.world.backend.hand_over = vanish  # type: ignore[method-assign]
    with pytest.raises(errors.Retry):
        await cell.delete("a")
    assert (await cell.look("a")).settled
    assert cell.world.backend.containers == {}


async def test_a_controller_killed_during_a_handover_ends_it(cell: Cell) -> None:
    await cell.add("b")
    await cell.look("b")
    before = list(cell.world.backend.effects)
    await cell.world.api.delete(kinds.RUNTIMES, "a", "edge")
    await cell.world.reconciler.reconcile(Key("edge", "a"), asyncio.Event())  # and its finalizer was never taken off
    cell.world.restart_controller()
    assert (await cell.look("b")).settled
    assert (await cell.look("a")).settled
    assert cell.conditions("b")["Ready"][0] == "True"
    assert cell.world.backend.effects == before
