"""Limits of runtimes, and warnings on hosts that do not support them."""

from __future__ import annotations

import asyncio
from typing import Any

import docker
import pytest

from controller.api import reasons
from controller.backends import base
from controller.backends.base import Identity
from controller.backends.docker.containers import create_body
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.observation import Observed
from controller.runtimes.facets import limits
from tests.backends.conftest import BackendHarness

pytestmark = pytest.mark.docker


async def test_an_unsupported_memory_limit_is_a_warning_and_no_drift(
    harness: BackendHarness, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = api.info()
    assert known["MemoryLimit"]
    assert "memory" in (await harness.backend.survey()).engine.bounds
    # Like an engine on a host without the memory cgroup, such as a Raspberry Pi with its default settings.
    monkeypatch.setattr(docker.APIClient, "info", lambda self: {**known, "MemoryLimit": False})
    monkeypatch.setattr(create_body, "limits", lambda resources: {"NanoCpus": 0, "Memory": 0, "MemorySwap": 0})
    target = await harness.up(harness.target(resources={"memory": "64Mi"}))

    observed: Observed = await harness.backend.observe(target)

    assert not limits.differ(target.spec.resources, observed.limits)
    assert [reason for reason, _ in observed.warnings] == [reasons.MEMORY_UNBOUNDED]
    assert (await harness.backend.observe(harness.target())).warnings == ()
    assert "memory" not in (await harness.backend.survey()).engine.bounds


async def test_a_limit_that_somebody_removed_is_drift_and_no_warning(
    harness: BackendHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(create_body, "limits", lambda resources: {"NanoCpus": 0, "Memory": 0, "MemorySwap": 0})
        target = await harness.up(harness.target(resources={"memory": "64Mi"}))
    observed: Observed = await harness.backend.observe(target)
    assert limits.differ(target.spec.resources, observed.limits)
    assert observed.warnings == ()


async def test_a_container_that_is_removed_before_its_limits_change_is_no_failure(
    harness: BackendHarness, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.up(harness.target())
    require = Containers.require

    async def removed(self: Containers, identity: Identity) -> Container:
        found = await require(self, identity)
        await asyncio.to_thread(api.remove_container, found.id, force=True)
        return found

    monkeypatch.setattr(Containers, "require", removed)
    target = await harness.run(harness.target(resources={"memory": "64Mi"}), base.Step.UPDATE_RESOURCES)
    assert (await harness.backend.observe(target)).container_id == ""
