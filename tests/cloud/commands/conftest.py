"""An API, and the commands on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.command_site import NAMESPACE, CommandSite, Operator, vnic
from tests.support.fake_api import FakeApi


@pytest.fixture
def api() -> FakeApi:
    """An empty API."""
    return FakeApi()


@pytest.fixture
async def site(api: FakeApi) -> AsyncIterator[CommandSite]:
    """The commands of one process."""
    made = CommandSite(api)
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
async def after_restart(api: FakeApi) -> AsyncIterator[CommandSite]:
    """The commands of the next process, on the same API."""
    made = CommandSite(api)
    yield made
    await made.close()


def creation(site: CommandSite, name: str = "plc-1") -> dict[str, Any]:
    """A message that creates a runtime."""
    return site.message("create_new_runtime", container_name=name, vnic_configs=[vnic()])


async def settled(site: CommandSite) -> None:
    """Wait until the operator has brought plc-1 to its wish."""
    await site.api.until(lambda: "status" in site.api.objects["runtimes", NAMESPACE, "plc-1"])
