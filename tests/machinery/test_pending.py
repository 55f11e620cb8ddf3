"""Pending values are delivered once each, in the order of their last addition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from controller.machinery.pending import PendingSet


@pytest.fixture
async def pending() -> PendingSet[str]:
    return PendingSet()


async def taken(values: AsyncIterator[str], count: int) -> list[str]:
    """The next values."""
    async with asyncio.timeout(30):
        return [await anext(values) for _ in range(count)]


async def test_a_value_added_twice_is_taken_once_at_its_last_place(pending: PendingSet[str]) -> None:
    for value in ("lost", "a", "connected", "lost"):
        pending.add(value)
    assert await taken(aiter(pending), 3) == ["a", "connected", "lost"]


async def test_a_taken_value_may_be_added_again(pending: PendingSet[str]) -> None:
    values = aiter(pending)
    pending.add("a")
    assert await taken(values, 1) == ["a"]
    pending.add("a")
    assert await taken(values, 1) == ["a"]


async def test_the_consumer_waits_for_a_value(pending: PendingSet[str]) -> None:
    waiting = asyncio.create_task(taken(aiter(pending), 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    pending.add("a")
    assert await waiting == ["a"]


async def test_sources_run_while_their_values_are_taken(pending: PendingSet[str]) -> None:
    ended = asyncio.Event()

    async def source(value: str) -> None:
        pending.add(value)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    values = pending.filled_by(source("a"), source("b"))
    assert await taken(values, 2) == ["a", "b"]
    await values.aclose()
    assert ended.is_set()


async def test_the_failure_of_a_source_ends_the_values(pending: PendingSet[str]) -> None:
    async def source() -> None:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError, match="a fault of ours"):
        await taken(pending.filled_by(source(), asyncio.sleep(1000)), 1)
