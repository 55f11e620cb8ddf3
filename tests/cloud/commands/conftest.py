"""The cloud's commands on an API without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from controller.machinery.writes import Selection, Write
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic
from tests.support.direct_api import DirectApi, Object, no_fault


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


@pytest.fixture
def lost_responses(api: DirectApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions take effect, but their responses are lost."""
    transaction = api.transaction

    async def lose(*steps: Write, unless: Selection | None) -> list[Object]:
        await transaction(*steps, unless=unless)
        raise errors.ApiUnavailableError("timeout")

    monkeypatch.setattr(api, "transaction", lose)


async def recreate_before(api: DirectApi, verb: str) -> Object:
    """Let plc-1 be created again just before the next request that changes it with the verb; returns its spec."""
    spec: Object = (await api.get(kinds.RUNTIMES, "plc-1", NAMESPACE))["spec"]

    async def recreated(sent: str, kind: Kind) -> None:
        if (sent, kind) == (verb, kinds.RUNTIMES):
            api.fault = no_fault
            await api.remove(kinds.RUNTIMES, "plc-1", NAMESPACE)
            await api.create(kinds.RUNTIMES, {"metadata": {"name": "plc-1", "namespace": NAMESPACE}, "spec": spec})

    api.fault = recreated
    return spec


def create_message(harness: CommandHarness, name: str = "plc-1") -> dict[str, Any]:
    """A create_new_runtime message."""
    return harness.message("create_new_runtime", container_name=name, vnic_configs=[vnic()])


async def reconciled(harness: CommandHarness) -> None:
    """Wait until the operator has written the status of plc-1."""
    await harness.api.until(lambda: "status" in harness.api.objects["runtimes", NAMESPACE, "plc-1"])
