"""The supervisor restarts loops that fail; a wait that depends on tasks ends when one of them fails."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from controller.machinery.supervisor import HEALTHY_SECONDS, Supervisor, beside, while_running
from tests.support import virtual_time


class Loop:
    """A loop that records when it was started, runs for ``seconds`` and fails ``failures`` times."""

    def __init__(self, failures: int, seconds: float = 0.0) -> None:
        self.failures = failures
        self.seconds = seconds
        self.started: list[float] = []
        self.cancelled = False

    async def run(self) -> None:
        self.started.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if len(self.started) <= self.failures:
            raise OSError("a fault")


def supervise(loop: Loop, seconds: float) -> None:
    """Supervise the loop for some virtual seconds."""

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.start("the loop", loop.run)
        await asyncio.sleep(seconds)
        await supervisor.stop()

    virtual_time.run(main())


def pauses(loop: Loop) -> list[float]:
    """The seconds between the starts of a loop."""
    return [after - before - loop.seconds for before, after in itertools.pairwise(loop.started)]


def test_a_loop_that_fails_is_logged_and_restarted_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop(failures=4)
    supervise(loop, 1000)
    bounds = [(0.5, 1), (1, 2), (2, 4), (4, 8)]
    assert [low <= pause <= high for pause, (low, high) in zip(pauses(loop), bounds, strict=True)] == [True] * 4
    assert caplog.messages == ["Restarting the loop after a failure"] * 4


def test_a_loop_that_ran_long_is_restarted_soon() -> None:
    loop = Loop(failures=4, seconds=HEALTHY_SECONDS + 1)
    supervise(loop, 1000)
    assert [pause <= 1 for pause in pauses(loop)] == [True] * 4


def test_a_loop_that_ends_is_not_restarted() -> None:
    loop = Loop(failures=0)
    supervise(loop, 1000)
    assert loop.started == [0]


def test_stop_cancels_the_loops() -> None:
    loop = Loop(failures=0, seconds=5000)
    supervise(loop, 1000)
    assert loop.cancelled


async def fail() -> None:
    raise OSError("a fault")


async def end() -> None:
    """Do nothing."""


@pytest.mark.parametrize("body_ends", [True, False])
async def test_a_cancellation_ends_what_runs_beside_the_body(*, body_ends: bool) -> None:
    async def work() -> None:
        async with beside(asyncio.Event().wait()) as task:
            begun.set_result(task)
            if not body_ends:
                await asyncio.Event().wait()

    begun: asyncio.Future[asyncio.Task[Any]] = asyncio.get_running_loop().create_future()
    worker = asyncio.create_task(work())
    task = await begun
    await asyncio.sleep(0)
    worker.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait({worker})
        await asyncio.wait({task})
    assert task.cancelled()


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
