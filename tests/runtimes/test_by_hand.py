"""The next pass detects, repairs and explains manual changes to a container."""

from __future__ import annotations

import json

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from tests.runtimes.harness import IDENTITY, LAN, Harness


async def running(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()


async def test_a_container_stopped_by_hand_is_started(harness: Harness) -> None:
    await running(harness)
    harness.backend.end(harness.backend.only(), "exited", 0)
    assert (await harness.reconcile()).settled
    assert harness.backend.only().state == "running"
    assert harness.records() == [("Stopped", "ByHand", "exit code 0"), ("Started", "ByHand", "exit code 0")]


async def test_a_container_removed_by_hand_is_recreated_from_the_same_image(harness: Harness) -> None:
    await running(harness)
    harness.backend.registry.clear()
    harness.backend.containers.clear()
    assert (await harness.reconcile()).settled
    assert harness.backend.only().image == "pin-1"
    assert harness.status()["restartCount"] == 1


async def test_a_start_is_counted_even_if_the_first_attempt_fails(harness: Harness) -> None:
    await running(harness)
    harness.backend.containers.clear()

    def fail_once(when: str, step: base.Step) -> None:
        if step is base.Step.START_CONTAINER:
            harness.backend.fault = lambda when, step: None
            raise errors.Retry(reasons.STEP_FAILED, "the engine is busy")

    harness.backend.fault = fail_once
    assert not (await harness.reconcile()).settled
    assert (await harness.reconcile()).settled
    assert harness.status()["restartCount"] == 1


async def test_a_mac_address_outlives_the_container(harness: Harness) -> None:
    await running(harness)
    before = harness.status()["interfaces"]
    harness.backend.containers.clear()
    harness.backend.missing_parents.add("eth0")
    await harness.reconcile()
    assert harness.status()["interfaces"] == before


async def test_an_interface_disconnected_by_hand_is_attached_without_a_restart(harness: Harness) -> None:
    await running(harness)
    started = harness.backend.only().started_at
    harness.backend.only().attached.clear()
    assert (await harness.reconcile()).settled
    assert harness.backend.only().started_at == started
    assert ("Normal", reasons.REPAIRED) in await harness.events()
    assert harness.status()["restartCount"] == 0


async def test_an_ineffective_repair_is_reported_and_not_repeated_in_the_pass(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(harness)
    harness.backend.only().attached["lan0"] = json.dumps({**LAN, "address": "10.0.0.99"})
    repairs: list[base.Step] = []

    async def no_effect(target: base.Target, progress: base.Progress) -> None:
        repairs.append(base.Step.REPAIR_NETWORKS)

    monkeypatch.setattr(harness.backend, "_RepairNetworks", no_effect)
    result = await harness.reconcile()
    assert (result.outcome.kind, result.outcome.reason) == ("retry", reasons.DETACHED)
    assert len(repairs) == 1
    assert harness.condition("NetworkAttached")["status"] == "False"


async def test_a_partial_repair_is_continued_and_not_reported_as_a_failure(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(harness)
    whole = harness.backend.only().attached.pop("lan0")
    left = [json.dumps({**LAN, "address": "10.0.0.99"}), whole]

    async def one_more(target: base.Target, progress: base.Progress) -> None:
        harness.backend.only().attached["lan0"] = left.pop(0)

    monkeypatch.setattr(harness.backend, "_RepairNetworks", one_more)
    assert (await harness.reconcile()).settled
    assert ("Warning", reasons.DETACHED) not in await harness.events()


async def test_an_address_changes_on_the_running_container(harness: Harness) -> None:
    await running(harness)
    started = harness.backend.only().started_at
    await harness.change(interfaces=[{**LAN, "address": "10.0.0.6"}])
    assert (await harness.reconcile()).settled
    assert harness.status()["interfaces"][0]["address"] == "10.0.0.6"
    assert harness.backend.only().started_at == started


async def test_a_missing_parent_interface_is_awaited(harness: Harness) -> None:
    harness.backend.missing_parents.add("eth0")
    await harness.create()
    result = await harness.reconcile()
    assert (result.outcome.kind, result.outcome.reason) == ("waiting", reasons.PARENT_MISSING)
    assert harness.status()["operation"]["name"] == "creating"
    assert IDENTITY not in harness.backend.containers
    harness.backend.missing_parents.clear()
    assert (await harness.reconcile()).settled


async def test_a_removed_parent_interface_stops_nothing(harness: Harness) -> None:
    await running(harness)
    harness.backend.missing_parents.add("eth0")
    await harness.reconcile()
    assert harness.backend.only().state == "running"
    assert harness.condition("Reconciling")["reason"] == reasons.PARENT_MISSING


async def test_the_transition_time_changes_only_with_the_status_of_the_condition(harness: Harness) -> None:
    await running(harness)
    first = harness.condition("Ready")["lastTransitionTime"]
    harness.now += 100
    harness.backend.only().health = "healthy"
    await harness.reconcile()
    assert harness.condition("Healthy")["status"] == "True"
    assert harness.condition("Ready")["lastTransitionTime"] == first
