"""Fixtures for the tests of the reconciler."""

from __future__ import annotations

import pytest

from tests.runtimes.harness import Harness
from tests.runtimes.shared_device import SharedDevice
from tests.support.direct_api import DirectApi


@pytest.fixture
async def harness(direct_api: DirectApi) -> Harness:
    return Harness(direct_api)


@pytest.fixture
async def shared(harness: Harness) -> SharedDevice:
    """A shared deviceId whose Runtime ``a`` is running."""
    made = SharedDevice(harness)
    await made.add("a")
    await made.reconcile("a")
    return made
