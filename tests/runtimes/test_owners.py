"""Several Runtimes with one deviceId: one owns the container, the others wait and touch nothing."""

from __future__ import annotations

import asyncio

import pytest

from controller import names
from controller.api import kinds, reasons
from controller.machinery.kinds import Kind
from controller.runtimes.keys import Key
from tests.runtimes.cell import Cell
from tests.runtimes.world import IDENTITY, SPEC


async def test_a_copied_device_id_replaces_nothing_and_says_who_owns_it(cell: Cell) -> None:
    container, before = cell.world.backend.only(), list(cell.world.backend.effects)
    await cell.add("b", version="2", env=[{"name": "COPY", "value": "1"}])
    for name in ("b", "a", "b"):
        await cell.look(name)
    assert cell.stalled("b")
    assert "Runtime a on node node-1 owns deviceId plc-1" in str(cell.body("b")["status"]["error"])
    assert cell.conditions("a")["Ready"] == ("True", reasons.RUNNING)
    assert cell.world.backend.only() is container
    assert cell.world.backend.effects == before
    assert ("Warning", reasons.DEVICE_ID_TAKEN) in await cell.world.events()


async def test_the_deletion_of_one_that_waits_touches_nothing(cell: Cell) -> None:
    await cell.add("b", volumes=[{"name": "data", "mountPath": "/data", "reclaimPolicy": "Delete"}])
    await cell.look("b")
    before = list(cell.world.backend.effects)
    assert (await cell.delete("b")).settled
    assert cell.world.backend.effects == before
    assert (await cell.look("a")).settled


async def test_the_deletion_of_one_that_was_never_looked_at_touches_nothing(cell: Cell) -> None:
    await cell.add("b")
    before = list(cell.world.backend.effects)
    assert (await cell.delete("b")).settled
    assert cell.world.backend.effects == before


@pytest.mark.parametrize("third", [False, True])
async def test_two_deleted_at_once_leave_no_container_behind(cell: Cell, third: bool) -> None:
    for name in ("b", "c") if third else ("b",):
        await cell.add(name)
        await cell.look(name)
    api = cell.world.api

    def fault(verb: str, kind: Kind) -> None:
        """The heir is deleted after the owner has chosen it, and before it is told."""
        if verb == "patch":
            cell.body("b")["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"

    await api.delete(kinds.RUNTIMES, "a", "edge")
    api.fault = fault
    assert (await cell.look("a")).settled
    api.fault = lambda verb, kind: None
    assert names.CLAIM not in cell.body("b")["metadata"].get("annotations", {})
    assert len(cell.world.backend.containers) == (1 if third else 0)


async def test_two_made_at_once_make_one_container_once() -> None:
    cell = Cell()
    for name in ("a", "b"):
        await cell.add(name)
    for _ in range(3):
        await asyncio.gather(cell.look("a"), cell.look("b"))
    assert cell.world.backend.effects.count("create") == 1
    assert "replace" not in cell.world.backend.effects
    assert sorted(cell.conditions(name)["Ready"][0] for name in ("a", "b")) == ["False", "True"]


async def test_a_paused_one_does_not_keep_the_device_id_from_one_that_is_to_run() -> None:
    cell = Cell()
    await cell.add("a", paused=True)
    await cell.add("b")
    for name in ("a", "b"):
        await cell.look(name)
    assert cell.conditions("b")["Ready"][0] == "True"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_of_two_that_an_older_version_left_the_one_on_the_label_owns_the_container(
    cell: Cell, order: tuple[str, str]
) -> None:
    await cell.add("b")
    cell.body("b")["status"] = {"node": "node-1", "containerId": "container-1", "appliedGeneration": 1}
    cell.world.backend.only().uid = cell.body("b")["metadata"]["uid"]
    cell.lose_claims()
    cell.world.restart_controller()
    before = list(cell.world.backend.effects)
    for name in order:
        await cell.look(name)
    assert cell.stalled("a")
    assert cell.conditions("b")["Ready"][0] == "True"
    assert cell.world.backend.effects == before


async def test_while_the_engine_cannot_be_asked_whose_a_container_is_nobody_takes_it(cell: Cell) -> None:
    await cell.add("b")
    cell.lose_claims()
    cell.world.restart_controller()
    cell.world.backend.unreachable = True
    assert (await cell.look("b")).outcome.kind == "waiting"
    assert cell.conditions("b")["Reconciling"] == ("True", reasons.DAEMON_UNREACHABLE)
    assert names.CLAIM not in cell.body("b")["metadata"].get("annotations", {})


async def test_a_copied_claim_claims_nothing(cell: Cell) -> None:
    await cell.add("b")
    cell.body("b")["metadata"]["annotations"] = dict(cell.body("a")["metadata"]["annotations"])
    for name in ("b", "a"):
        await cell.look(name)
    assert cell.stalled("b")


async def test_the_same_device_id_in_another_namespace_is_another_runtime(cell: Cell) -> None:
    metadata = {"name": "a", "namespace": "other", "finalizers": [names.FINALIZER]}
    await cell.world.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    result = await cell.world.reconciler.reconcile(Key("other", "a"), asyncio.Event())
    assert result.settled
    assert set(cell.world.backend.containers) == {IDENTITY, IDENTITY._replace(namespace="other")}


async def test_one_of_another_namespace_is_tried_when_the_name_is_free(cell: Cell) -> None:
    metadata = {"name": "a", "namespace": "other", "finalizers": [names.FINALIZER]}
    await cell.world.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    await cell.world.reconciler.reconcile(Key("other", "a"), asyncio.Event())
    assert (await cell.delete("a")).wake == (Key("other", "a"),)


async def test_what_happens_to_the_container_is_told_to_the_owner(cell: Cell) -> None:
    await cell.add("b")
    await cell.look("b")
    assert cell.world.index.key_of(IDENTITY) == Key("edge", "a")
    await cell.delete("a")
    await cell.look("b")
    assert cell.world.index.key_of(IDENTITY) == Key("edge", "b")
