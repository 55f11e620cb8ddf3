"""The cloud's commands on an API without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic
from tests.support.direct_api import DirectApi


@pytest.fixture
def api(direct_api: DirectApi) -> DirectApi:
    """An empty API."""
    return direct_api


@pytest.fixture
async def harness(api: DirectApi) -> AsyncIterator[CommandHarness]:
    """The commands as one process runs them."""
    made = CommandHarness(api)
    yield made
    await made.close()


@pytest.fixture
async def operator(api: DirectApi) -> AsyncIterator[Operator]:
    """A running operator that brings Runtimes to their desired state."""
    made = Operator(api)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def after_restart(api: DirectApi) -> AsyncIterator[CommandHarness]:
    """The commands after a restart: another process on the same API."""
    made = CommandHarness(api)
    yield made
    await made.close()


def create_message(harness: CommandHarness, name: str = "plc-1") -> dict[str, Any]:
    """A create_new_runtime message."""
    return harness.message("create_new_runtime", container_name=name, vnic_configs=[vnic()])


async def reconciled(harness: CommandHarness) -> None:
    """Wait until the operator has written the status of plc-1."""
    await harness.api.until(lambda: "status" in harness.api.objects["runtimes", NAMESPACE, "plc-1"])
