"""A resync asks whether a Runtime is settled; that must not interfere with its passes."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from controller.backends import base
from controller.backends.observation import Observed
from controller.machinery.kinds import Kind
from controller.runtimes.keys import Version
from controller.runtimes.result import NO_FINALIZER
from tests.runtimes.harness import KEY, Harness


@pytest.fixture
async def settled(harness: Harness) -> Harness:
    """A harness with a settled Runtime."""
    await harness.create()
    while not (await harness.reconcile()).settled:
        pass
    return harness


@pytest.fixture
def observed(settled: Harness, monkeypatch: pytest.MonkeyPatch) -> list[base.Target]:
    """What is observed from now on."""
    found: list[base.Target] = []
    observe = settled.backend.observe

    async def note(target: base.Target, *, predecessor: bool) -> Observed:
        found.append(target)
        return await observe(target, predecessor=predecessor)

    monkeypatch.setattr(settled.backend, "observe", note)
    return found


def listed(harness: Harness) -> dict[str, Any]:
    """The Runtime as a list shows it now."""
    return copy.deepcopy(harness.object())


async def test_a_runtime_that_a_pass_left_ready_is_settled(settled: Harness, observed: list[base.Target]) -> None:
    assert await settled.reconciler.is_settled(listed(settled))
    assert len(observed) == 1


async def test_a_spec_that_is_older_than_the_last_pass_is_not_observed_again(
    settled: Harness, observed: list[base.Target]
) -> None:
    older = listed(settled)
    await settled.change(env=[{"name": "MODE", "value": "b"}])
    await settled.reconcile()
    observed.clear()
    assert not await settled.reconciler.is_settled(older)
    assert observed == []


async def test_during_a_pass_nothing_else_is_observed(settled: Harness, observed: list[base.Target]) -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def hold(*_: object) -> None:
        begun.set()
        await released.wait()

    settled.api.fault = hold
    passing = asyncio.create_task(settled.reconcile())
    await begun.wait()
    assert not await settled.reconciler.is_settled(listed(settled))
    assert observed == []
    released.set()
    await passing


def version(harness: Harness) -> Version:
    """That of the Runtime now."""
    return Version.of(harness.object()["metadata"])


async def test_a_pass_has_read_the_version_that_it_worked_on(harness: Harness) -> None:
    await harness.create()
    assert not harness.reconciler.has_read(KEY, version(harness))
    await harness.reconcile()
    assert harness.reconciler.has_read(KEY, version(harness))


async def test_a_version_is_read_already_while_a_pass_claims_its_device(harness: Harness) -> None:
    await harness.create()
    claiming, released = asyncio.Event(), asyncio.Event()

    async def hold(verb: str, _: Kind) -> None:
        if verb == "patch":
            claiming.set()
            await released.wait()

    harness.api.fault = hold
    passing = asyncio.create_task(harness.reconcile())
    await claiming.wait()
    assert harness.reconciler.has_read(KEY, version(harness))
    released.set()
    await passing


async def test_a_version_without_a_pass_is_not_read(harness: Harness) -> None:
    await harness.create()
    await harness.edit(lambda found: found["metadata"].update(finalizers=[]))
    assert await harness.reconcile() == NO_FINALIZER
    assert not harness.reconciler.has_read(KEY, version(harness))


async def test_a_changed_spec_is_not_read_yet(settled: Harness) -> None:
    await settled.change(env=[{"name": "MODE", "value": "b"}])
    assert not settled.reconciler.has_read(KEY, version(settled))


async def test_another_object_of_the_same_name_is_not_read_yet(settled: Harness) -> None:
    before = version(settled)
    await settled.edit(lambda found: found["metadata"].update(uid="another"))
    assert version(settled).generation == before.generation
    assert not settled.reconciler.has_read(KEY, version(settled))


async def test_a_version_that_is_gone_is_forgotten(settled: Harness) -> None:
    before = version(settled)
    await settled.delete()
    assert (await settled.reconcile()).outcome.kind == "gone"
    assert not settled.reconciler.has_read(KEY, before)
