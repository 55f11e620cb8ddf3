"""Fixtures for the tests of the reconciler."""

from __future__ import annotations

import pytest

from tests.runtimes.harness import Harness
from tests.runtimes.shared_device import SharedDevice


@pytest.fixture
async def harness() -> Harness:
    return Harness()


@pytest.fixture
async def shared() -> SharedDevice:
    """A shared deviceId whose Runtime ``a`` is running."""
    made = SharedDevice()
    await made.add("a")
    await made.reconcile("a")
    return made
