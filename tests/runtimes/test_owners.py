"""Of several Runtimes with one deviceId, one owns the container; the others wait and touch nothing."""

from __future__ import annotations

import asyncio

import pytest

from controller import names
from controller.api import kinds, reasons
from controller.machinery.kinds import Kind
from controller.runtimes.keys import Key
from tests.runtimes.harness import IDENTITY, SPEC, Harness
from tests.runtimes.shared_device import SharedDevice
from tests.support.direct_api import no_fault


async def test_a_duplicate_device_id_is_stalled_and_names_the_owner(shared: SharedDevice) -> None:
    container, before = shared.harness.backend.only(), list(shared.harness.backend.effects)
    await shared.add("b", version="2", env=[{"name": "COPY", "value": "1"}])
    for name in ("b", "a", "b"):
        await shared.reconcile(name)
    assert shared.stalled("b")
    assert "Runtime a on node node-1 owns deviceId plc-1" in str(shared.body("b")["status"]["error"])
    assert shared.conditions("a")["Ready"] == ("True", reasons.RUNNING)
    assert shared.harness.backend.only() is container
    assert shared.harness.backend.effects == before
    assert ("Warning", reasons.DEVICE_ID_TAKEN) in await shared.harness.events()


async def test_deleting_a_waiting_runtime_touches_nothing(shared: SharedDevice) -> None:
    await shared.add("b", volumes=[{"name": "data", "mountPath": "/data", "reclaimPolicy": "Delete"}])
    await shared.reconcile("b")
    before = list(shared.harness.backend.effects)
    assert (await shared.delete("b")).settled
    assert shared.harness.backend.effects == before
    assert (await shared.reconcile("a")).settled


async def test_deleting_a_runtime_before_its_first_pass_touches_nothing(shared: SharedDevice) -> None:
    await shared.add("b")
    before = list(shared.harness.backend.effects)
    assert (await shared.delete("b")).settled
    assert shared.harness.backend.effects == before


@pytest.mark.parametrize("third", [False, True])
async def test_deleting_owner_and_successor_together_leaves_no_container(shared: SharedDevice, third: bool) -> None:
    for name in ("b", "c") if third else ("b",):
        await shared.add(name)
        await shared.reconcile(name)
    api = shared.harness.api

    async def fault(verb: str, kind: Kind) -> None:
        """Delete the successor after it was chosen, before its claim is written."""
        if verb == "patch":
            api.fault = no_fault
            await api.delete(kinds.RUNTIMES, "b", "edge")

    await api.delete(kinds.RUNTIMES, "a", "edge")
    api.fault = fault
    assert (await shared.reconcile("a")).settled
    api.fault = no_fault
    assert names.CLAIM not in shared.body("b")["metadata"].get("annotations", {})
    assert len(shared.harness.backend.containers) == (1 if third else 0)


async def test_two_concurrent_runtimes_create_one_container(harness: Harness) -> None:
    shared = SharedDevice(harness)
    for name in ("a", "b"):
        await shared.add(name)
    for _ in range(3):
        await asyncio.gather(shared.reconcile("a"), shared.reconcile("b"))
    assert shared.harness.backend.effects.count("create") == 1
    assert "replace" not in shared.harness.backend.effects
    assert sorted(shared.conditions(name)["Ready"][0] for name in ("a", "b")) == ["False", "True"]


async def test_a_paused_runtime_does_not_block_an_active_one(harness: Harness) -> None:
    shared = SharedDevice(harness)
    await shared.add("a", paused=True)
    await shared.add("b")
    for name in ("a", "b"):
        await shared.reconcile(name)
    assert shared.conditions("b")["Ready"][0] == "True"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
async def test_without_claims_the_container_label_decides(shared: SharedDevice, order: tuple[str, str]) -> None:
    await shared.add("b")
    status = {"node": "node-1", "containerId": "container-1", "appliedGeneration": 1}
    await shared.edit("b", lambda body: body.update(status=status))
    shared.harness.backend.only().uid = shared.body("b")["metadata"]["uid"]
    await shared.lose_claims()
    shared.harness.restart_controller()
    before = list(shared.harness.backend.effects)
    for name in order:
        await shared.reconcile(name)
    assert shared.stalled("a")
    assert shared.conditions("b")["Ready"][0] == "True"
    assert shared.harness.backend.effects == before


async def test_nothing_is_claimed_while_the_engine_is_unreachable(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.lose_claims()
    shared.harness.restart_controller()
    shared.harness.backend.unreachable = True
    assert (await shared.reconcile("b")).outcome.kind == "waiting"
    assert shared.conditions("b")["Reconciling"] == ("True", reasons.DAEMON_UNREACHABLE)
    assert names.CLAIM not in shared.body("b")["metadata"].get("annotations", {})


async def test_a_copied_claim_is_ignored(shared: SharedDevice) -> None:
    await shared.add("b")
    copied = shared.body("a")["metadata"]["annotations"]
    await shared.edit("b", lambda body: body["metadata"].update(annotations=copied))
    for name in ("b", "a"):
        await shared.reconcile(name)
    assert shared.stalled("b")


async def test_the_same_device_id_in_another_namespace_is_independent(shared: SharedDevice) -> None:
    metadata = {"name": "a", "namespace": "other", "finalizers": [names.FINALIZER]}
    await shared.harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    result = await shared.harness.reconciler.reconcile(Key("other", "a"), asyncio.Event())
    assert result.settled
    assert set(shared.harness.backend.containers) == {IDENTITY, IDENTITY._replace(namespace="other")}


async def test_a_runtime_of_another_namespace_is_woken_when_the_name_is_free(shared: SharedDevice) -> None:
    metadata = {"name": "a", "namespace": "other", "finalizers": [names.FINALIZER]}
    await shared.harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    shared.harness.backend.foreign["plc-1"] = "the container of edge/a"
    await shared.harness.reconciler.reconcile(Key("other", "a"), asyncio.Event())
    assert (await shared.delete("a")).wake == (Key("other", "a"),)


async def test_events_of_the_container_go_to_the_owner(shared: SharedDevice) -> None:
    await shared.add("b")
    await shared.reconcile("b")
    assert shared.harness.index.key_of(IDENTITY) == Key("edge", "a")
    await shared.delete("a")
    await shared.reconcile("b")
    assert shared.harness.index.key_of(IDENTITY) == Key("edge", "b")


async def test_with_transactions_a_runtime_without_rivals_claims_its_device_id_in_one_request(harness: Harness) -> None:
    harness.api.has_transactions = True
    await harness.create()
    harness.api.requests.clear()
    await harness.reconcile()
    assert harness.api.requests[:2] == [("get", kinds.RUNTIMES.plural), ("transaction", kinds.RUNTIMES.plural)]
    assert ("list", kinds.RUNTIMES.plural) not in harness.api.requests
    assert harness.object()["metadata"]["annotations"][names.CLAIM] == harness.object()["metadata"]["uid"]


async def test_with_transactions_a_second_runtime_of_a_device_does_not_claim_it(shared: SharedDevice) -> None:
    shared.harness.api.has_transactions = True
    await shared.add("b")
    await shared.reconcile("b")
    assert shared.stalled("b")
    assert names.CLAIM not in shared.body("b")["metadata"].get("annotations", {})


async def test_with_transactions_a_device_of_another_namespace_is_no_rival(harness: Harness) -> None:
    harness.api.has_transactions = True
    await harness.create()
    metadata = {"name": "plc-1", "namespace": "other", "finalizers": [names.FINALIZER]}
    await harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    harness.api.requests.clear()
    await harness.reconcile()
    assert ("list", kinds.RUNTIMES.plural) not in harness.api.requests


async def test_a_runtime_that_was_seen_is_read_together_with_its_rivals(shared: SharedDevice) -> None:
    api = shared.harness.api
    api.requests.clear()
    await shared.reconcile("a")
    assert api.requests == [("list", kinds.RUNTIMES.plural)]
    await shared.add("b")
    await shared.reconcile("b")
    assert shared.stalled("b")


async def test_a_successor_is_seen_in_the_request_that_reads_both(shared: SharedDevice) -> None:
    """The claim of another process: the former owner must touch nothing in its next pass."""
    await shared.add("b")
    uids = {name: shared.body(name)["metadata"]["uid"] for name in ("a", "b")}
    for name, claim in (("a", None), ("b", uids["b"])):
        patch = {"metadata": {"annotations": {names.CLAIM: claim}}}
        await shared.harness.api.patch(kinds.RUNTIMES, name, "edge", patch)
    before = list(shared.harness.backend.effects)
    await shared.reconcile("a")
    assert shared.stalled("a")
    assert shared.harness.backend.effects == before


async def test_a_runtime_that_was_recreated_for_another_device_is_found(shared: SharedDevice) -> None:
    await shared.harness.api.edit(kinds.RUNTIMES, "a", "edge", lambda body: body["spec"].update(deviceId="plc-2"))
    await shared.reconcile("a")
    assert {identity.device_id for identity in shared.harness.backend.containers} >= {"plc-2"}
