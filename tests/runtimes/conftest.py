"""Fixtures of the reconciler's and its queue's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.runtimes.queue import Queue
from tests.runtimes.cell import Cell
from tests.runtimes.passes import Passes
from tests.runtimes.world import World


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
async def passes() -> Passes:
    return Passes()


@pytest.fixture
async def queue(passes: Passes) -> AsyncIterator[Queue]:
    made = Queue(passes.reconcile, workers=2)
    yield made
    await made.stop(0)


@pytest.fixture
async def cell() -> Cell:
    """``a`` runs."""
    made = Cell()
    await made.add("a")
    await made.look("a")
    return made
