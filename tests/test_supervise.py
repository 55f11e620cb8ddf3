"""A wait that depends on tasks ends when one of them fails."""

from __future__ import annotations

import asyncio

import pytest

from controller.machinery.supervisor import while_running


async def fail() -> None:
    raise OSError("a fault")


async def end() -> None:
    """Do nothing."""


async def test_the_result_of_the_work_is_returned() -> None:
    async with asyncio.timeout(30):
        endless = asyncio.create_task(asyncio.Event().wait())
        assert await while_running(asyncio.sleep(0, "news"), endless) == "news"
    endless.cancel()


async def test_the_failure_of_a_task_ends_the_wait() -> None:
    with pytest.raises(OSError, match="a fault"):
        async with asyncio.timeout(30):
            await while_running(asyncio.Event().wait(), asyncio.create_task(fail()))


async def test_the_end_of_a_task_ends_the_wait_too() -> None:
    with pytest.raises(RuntimeError, match="follower ended"):
        async with asyncio.timeout(30):
            await while_running(asyncio.Event().wait(), asyncio.create_task(end(), name="the follower"))
