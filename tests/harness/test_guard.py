"""The guard against blocking calls catches only calls of the product."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

from controller import state


async def test_a_blocking_call_of_the_product_in_an_event_loop_fails(tmp_path: Path) -> None:
    kept = await asyncio.to_thread(state.State, tmp_path)
    with pytest.raises(BlockingError):
        kept.reset()


async def test_the_same_call_in_a_thread_is_fine(tmp_path: Path) -> None:
    kept = await asyncio.to_thread(state.State, tmp_path)
    assert await asyncio.to_thread(kept.reset) is False


async def test_a_test_itself_may_block() -> None:
    time.sleep(0)  # noqa: ASYNC251 - the point
