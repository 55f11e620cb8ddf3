"""Turns: how many passes compute at once, beside any number that wait for the engine."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from controller.runtimes.turns import Turns


class Pass:
    """Takes a turn, then waits outside of it until it is released."""

    def __init__(self, turns: Turns) -> None:
        self.has_turn, self.goes_on, self.released = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.engine = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns))

    async def _run(self, turns: Turns) -> None:
        async with turns:
            self.has_turn.set()
            await turns.outside(self.engine.wait())
            self.goes_on.set()
            await self.released.wait()


async def settled() -> None:
    """Let all tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_pass_that_waits_for_the_engine_leaves_its_turn_to_others() -> None:
    turns = Turns(1)
    passes = [Pass(turns) for _ in range(3)]
    await settled()
    assert all(one.has_turn.is_set() for one in passes)
    for one in passes:
        one.engine.set()
        one.released.set()
    await asyncio.gather(*(one.task for one in passes))


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_pass_goes_on_at_once_and_others_begin_when_it_has_ended(cancelled: bool) -> None:
    turns = Turns(1)
    first, second = Pass(turns), Pass(turns)
    await settled()
    first.engine.set()
    second.engine.set()
    await settled()
    assert first.goes_on.is_set()
    assert second.goes_on.is_set()
    third = Pass(turns)
    await settled()
    assert not third.has_turn.is_set()
    for one in (first, second):
        one.task.cancel() if cancelled else one.released.set()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(first.task, second.task)
    await third.has_turn.wait()
    fourth = Pass(turns)
    third.engine.set()
    await settled()
    assert third.goes_on.is_set()
    third.released.set()
    await fourth.has_turn.wait()
    fourth.task.cancel()


async def test_work_that_fails_outside_returns_the_turn() -> None:
    turns = Turns(1)

    async def fail() -> None:
        raise ValueError("failed")

    for _ in range(2):
        with pytest.raises(ValueError, match="failed"):
            async with turns:
                await turns.outside(fail())
    async with turns:
        pass
