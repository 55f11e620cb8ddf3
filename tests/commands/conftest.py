"""An API, and the commands on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.command_site import CommandSite, Operator
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
