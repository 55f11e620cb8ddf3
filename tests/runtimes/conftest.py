"""Fixtures for the tests of the reconciler and its queue."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.runtimes.queue import Queue
from tests.runtimes.harness import Harness
from tests.runtimes.passes import Passes
from tests.runtimes.shared_device import SharedDevice


@pytest.fixture
async def harness() -> Harness:
    return Harness()


@pytest.fixture
async def passes() -> Passes:
    return Passes()


@pytest.fixture
async def queue(passes: Passes) -> AsyncIterator[Queue]:
    made = Queue(passes.reconcile, workers=2)
    yield made
    await made.stop(0)


@pytest.fixture
async def shared() -> SharedDevice:
    """A shared deviceId whose Runtime ``a`` is running."""
    made = SharedDevice()
    await made.add("a")
    await made.reconcile("a")
    return made
