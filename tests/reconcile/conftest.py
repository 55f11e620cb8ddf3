"""Fixtures of the reconciler's tests."""

from __future__ import annotations

import pytest

from tests.reconcile.world import World


@pytest.fixture
async def world() -> World:
    return World()
