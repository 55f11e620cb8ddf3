"""Only the controller in whose scope a Runtime is touches it; a Runtime without a node is claimed."""

from __future__ import annotations

import pytest

from controller.api import kinds, reasons
from controller.runtimes.result import NO_FINALIZER
from tests.runtimes.harness import KEY, Harness


async def test_a_runtime_without_our_finalizer_is_not_touched(harness: Harness) -> None:
    await harness.create()
    await harness.api.patch(kinds.RUNTIMES, KEY.name, KEY.namespace, {"metadata": {"finalizers": None}})
    assert await harness.reconcile() == NO_FINALIZER
    assert harness.backend.effects == []
    assert harness.status() == {}


OTHERS = [pytest.param({"nodeName": "node-2"}, id="node"), pytest.param({"backend": "Pod"}, id="backend")]


@pytest.mark.parametrize("other", OTHERS)
async def test_a_runtime_of_another_node_or_backend_is_not_touched(harness: Harness, other: dict[str, str]) -> None:
    harness.claims = False
    harness.restart_controller()
    await harness.create(**other)
    await harness.reconcile()
    assert harness.backend.effects == []
    assert harness.status() == {}


@pytest.mark.parametrize("other", OTHERS)
async def test_the_only_node_reports_a_runtime_that_no_node_runs(harness: Harness, other: dict[str, str]) -> None:
    await harness.create(**other)
    await harness.reconcile()
    assert harness.backend.effects == []
    assert harness.condition("Stalled")["reason"] == reasons.SPEC_IMPOSSIBLE
    await harness.delete()
    assert (await harness.reconcile()).settled


async def test_a_runtime_without_a_node_is_claimed(harness: Harness) -> None:
    await harness.create(nodeName=None, backend=None)
    await harness.reconcile()
    spec = harness.object()["spec"]
    assert (spec["nodeName"], spec["backend"]) == ("node-1", "Docker")
    assert harness.condition("Ready")["status"] == "True"
