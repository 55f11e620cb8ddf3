"""Inspects the inside of a runtime of the Docker backend."""

from __future__ import annotations

import dataclasses
from typing import Any

from controller.backends import base
from controller.backends.base import Target
from controller.container_root import Process
from controller.network.netns import Namespace
from controller.network.snapshot import Snapshot
from tests.backends.conftest import BackendHarness


async def links_of(harness: BackendHarness, target: Target) -> Snapshot:
    """The links inside the runtime."""
    async with Namespace(await process_of(harness, target)) as namespace:
        return await namespace.snapshot()


async def pid_of(harness: BackendHarness, target: Target) -> int:
    """The host's pid of the runtime's first process."""
    return (await process_of(harness, target)).pid


async def process_of(harness: BackendHarness, target: Target) -> Process:
    """The runtime's first process."""
    running: list[base.RunningContainer] = await harness.backend.running()
    return next(Process(found.pid, found.container) for found in running if found.identity == target.identity)


def changed(target: Target, **spec: Any) -> Target:
    """The target with a changed spec."""
    wire = target.spec.wire() | spec
    return dataclasses.replace(target, generation=2, spec=type(target.spec).model_validate(wire))


async def in_order(harness: BackendHarness, target: Target) -> bool:
    """Whether the backend observes exactly the interfaces of the spec, all in order."""
    observed = await harness.backend.observe(target)
    assert {found.name: found.detail for found in observed.network.interfaces if not found.in_order} == {}
    return observed.network.internal_attached and len(observed.network.interfaces) == len(target.spec.interfaces)
