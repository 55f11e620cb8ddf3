"""A resync asks whether a Runtime is settled; that must not interfere with its passes."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from controller.backends import base
from controller.backends.observation import Observed
from tests.runtimes.harness import Harness


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
