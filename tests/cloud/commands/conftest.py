"""An API, and the commands on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic
from tests.support.fake_api import FakeApi


@pytest.fixture
def api() -> FakeApi:
    """An empty API."""
    return FakeApi()


@pytest.fixture
async def harness(api: FakeApi) -> AsyncIterator[CommandHarness]:
    """The commands of one process."""
    made = CommandHarness(api)
    yield made
    await made.close()


@pytest.fixture
async def operator(api: FakeApi) -> AsyncIterator[Operator]:
    """Something that brings Runtimes to their wish."""
    made = Operator(api)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def after_restart(api: FakeApi) -> AsyncIterator[CommandHarness]:
    """The commands of the next process, on the same API."""
    made = CommandHarness(api)
    yield made
    await made.close()


def creation(harness: CommandHarness, name: str = "plc-1") -> dict[str, Any]:
    """A message that creates a runtime."""
    return harness.message("create_new_runtime", container_name=name, vnic_configs=[vnic()])


async def settled(harness: CommandHarness) -> None:
    """Wait until the operator has brought plc-1 to its wish."""
    await harness.api.until(lambda: "status" in harness.api.objects["runtimes", NAMESPACE, "plc-1"])
