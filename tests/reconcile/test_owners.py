"""Several Runtimes with one deviceId: one owns the container, the others wait and touch nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller import errors, names
from controller.backends import base
from controller.reconcile.keys import Key
from controller.reconcile.reconciler import Result
from controller.resources import kinds, reasons
from controller.resources.kinds import Kind
from tests.reconcile.world import IDENTITY, LAN, World

SPEC = {
    "deviceId": "plc-1",
    "nodeName": "node-1",
    "backend": "Docker",
    "image": "registry/plc",
    "version": "1",
    "interfaces": [LAN],
}


@dataclass
class Cell:
    """Runtimes a, b, ... with one deviceId, and the nodes that look at them."""

    world: World = field(default_factory=World)

    async def add(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": "edge", "finalizers": [names.FINALIZER]}
        await self.world.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC | spec})

    async def look(self, name: str, world: World | None = None) -> Result:
        """One pass; what has ended is taken away, as the operator does."""
        result = await (world or self.world).reconciler.reconcile(Key("edge", name), asyncio.Event())
        found = self.world.api.objects.get((kinds.RUNTIMES.plural, "edge", name))
        if found and found["metadata"].get("deletionTimestamp") and result.settled:
            self.world.api.remove(kinds.RUNTIMES, name, "edge")
        return result

    async def delete(self, name: str, world: World | None = None) -> Result:
        await self.world.api.delete(kinds.RUNTIMES, name, "edge")
        return await self.look(name, world)

    def body(self, name: str) -> dict[str, Any]:
        return self.world.api.objects[kinds.RUNTIMES.plural, "edge", name]

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        found = self.body(name).get("status", {}).get("conditions", ())
        return {condition["type"]: (condition["status"], condition["reason"]) for condition in found}

    def stalled(self, name: str) -> bool:
        return self.conditions(name)["Stalled"] == ("True", reasons.DEVICE_ID_TAKEN)

    def lose_claims(self) -> None:
        """As 0.1 left them, or a tool that replaced the whole object."""
        for (plural, _, _), found in self.world.api.objects.items():
            if plural == kinds.RUNTIMES.plural:
                found["metadata"].get("annotations", {}).pop(names.CLAIM, None)


@pytest.fixture
async def cell() -> Cell:
    """``a`` runs."""
    made = Cell()
    await made.add("a")
    await made.look("a")
    return made


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
        if when == "after" and isinstance(step, base.RemoveContainer):
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

    async def vanish(heir: base.Target) -> None:
        cell.world.api.remove(kinds.RUNTIMES, heir.name, "edge")

    cell.world.backend.hand_over = vanish  # type: ignore[method-assign]
    with pytest.raises(errors.Retry):
        await cell.delete("a")
    assert (await cell.look("a")).settled
    assert cell.world.backend.containers == {}


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


async def test_what_happens_to_the_container_is_told_to_the_owner(cell: Cell) -> None:
    await cell.add("b")
    await cell.look("b")
    assert cell.world.index.key_of(IDENTITY) == Key("edge", "a")
    await cell.delete("a")
    await cell.look("b")
    assert cell.world.index.key_of(IDENTITY) == Key("edge", "b")


class TestOnTwoNodes:
    """Each node has a process of its own, and they share the API only."""

    @pytest.fixture
    async def nodes(self) -> tuple[Cell, World, World]:
        cell = Cell(World(claims=False))
        await cell.add("a")
        await cell.add("b", nodeName="node-2")
        return cell, cell.world, World(api=cell.world.api, node="node-2", claims=False)

    async def test_one_owns_the_device_id_on_both(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        await cell.look("b", other)
        assert cell.stalled("b")
        assert "on node node-1" in cell.body("b")["status"]["error"]
        assert other.backend.effects == []

    async def test_looking_at_once_at_most_one_makes_a_container(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        for _ in range(4):
            await asyncio.gather(cell.look("a", one), cell.look("b", other))
            assert len(one.backend.containers) + len(other.backend.containers) <= 1
        await cell.look("a", one)
        await cell.look("b", other)
        assert len(one.backend.containers) + len(other.backend.containers) == 1

    async def test_the_other_is_made_when_the_owner_is_gone(self, nodes: tuple[Cell, World, World]) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        await cell.look("b", other)
        await cell.delete("a", one)
        assert one.backend.containers == {}
        assert (await cell.look("b", other)).settled
        assert other.backend.only().state == "running"

    async def test_one_that_an_older_version_runs_elsewhere_is_not_overtaken(
        self, nodes: tuple[Cell, World, World]
    ) -> None:
        cell, one, other = nodes
        await cell.look("a", one)
        cell.lose_claims()
        await cell.look("b", other)
        assert cell.stalled("b")
        assert other.backend.effects == []
