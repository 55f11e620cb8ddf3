"""Retry intervals of the queue: exponential backoff after failures, fixed intervals while waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.machinery.workqueue import BACKOFF, ECHO_SECONDS, RetryAfter
from tests.machinery.passes import FAILED, KEY, READY, Passes, Queue, Result, idle, queue_of
from tests.support import virtual_time


def recording(delays: list[tuple[float, float]]) -> Callable[[float, float], float]:
    """A jitter that records its bounds and returns no delay."""

    def jitter(low: float, high: float) -> float:
        delays.append((low, high))
        return 0.0

    return jitter


async def test_failures_are_retried_with_exponential_backoff(passes: Passes) -> None:
    delays: list[tuple[float, float]] = []
    queue = queue_of(passes.reconcile, jitter=recording(delays))
    passes.result = FAILED
    queue.add(KEY)
    await passes.wait(9)
    await queue.stop(0)
    assert delays[:8] == [(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60), (30, 60)]


async def test_a_success_resets_the_backoff(passes: Passes) -> None:
    delays: list[tuple[float, float]] = []
    queue = queue_of(passes.reconcile, jitter=recording(delays))
    passes.result = FAILED
    queue.add(KEY)
    await passes.wait(3)
    passes.result = READY
    await queue.reconcile(KEY)
    passes.result = FAILED
    delays.clear()
    await queue.reconcile(KEY)
    await queue.stop(0)
    assert delays[0] == (0.5, 1)


async def test_a_result_may_ask_for_a_retry_between_two_bounds(passes: Passes) -> None:
    delays: list[tuple[float, float]] = []
    queue = queue_of(passes.reconcile, jitter=recording(delays))
    passes.result = Result((5, 15))
    queue.add(KEY)
    await passes.wait(2)
    await queue.stop(0)
    assert delays[0] == (5, 15)


async def test_a_settled_key_is_not_retried_and_uses_no_memory(queue: Queue) -> None:
    await queue.reconcile(KEY)
    await idle(queue)
    assert queue._entries == {}


async def failing(queue: Queue, passes: Passes, events: int, count: int) -> None:
    """Let pass number ``count`` fail after ``events`` events during it."""
    await passes.wait(count, 100)
    for _ in range(events):
        queue.add(KEY)
    assert passes.gate
    gate, passes.gate = passes.gate, asyncio.Event()
    gate.set()


def test_events_of_failed_steps_do_not_shorten_the_backoff() -> None:
    async def main() -> None:
        passes, now = Passes(Result(BACKOFF, acted=True), gate=asyncio.Event()), asyncio.get_running_loop().time
        queue = queue_of(passes.reconcile, jitter=lambda _, longest: longest)
        queue.add(KEY)
        for count in range(1, 7):
            await failing(queue, passes, 3, count)
            queue.add(KEY)  # one more comes after the steps
        await passes.wait(7, 60)
        assert now() >= 2 + 4 + 8 + 16 + 32
        await queue.stop(0)

    virtual_time.run(main())


@pytest.mark.parametrize("retry", [BACKOFF, (5, 15)])
@pytest.mark.parametrize("after", [False, True], ids=["during the pass", "after it"])
def test_an_event_beyond_the_echo_triggers_a_pass_after_the_echo(retry: RetryAfter, after: bool) -> None:
    async def main() -> None:
        passes, now = Passes(Result(retry, acted=True), gate=asyncio.Event()), asyncio.get_running_loop().time
        queue = queue_of(passes.reconcile, jitter=lambda _, longest: longest)
        queue.add(KEY)
        for count in range(1, 5):
            await failing(queue, passes, 3, count)
        await failing(queue, passes, 3 if after else 4, 5)
        await idle(queue)
        failed = now()
        if after:
            queue.add(KEY)
        await passes.wait(6, 100)
        assert now() - failed == pytest.approx(ECHO_SECONDS)
        await queue.stop(0)

    virtual_time.run(main())


async def test_the_size_of_the_echo_is_reset_by_a_success(queue: Queue, passes: Passes) -> None:
    passes.result, passes.gate = Result((50, 70), acted=True), asyncio.Event()
    queue.add(KEY)
    await failing(queue, passes, 2, 1)
    await passes.wait(2)
    assert passes.gate
    passes.gate.set()
    await idle(queue)
    assert len(passes.started) == 2


async def test_an_event_during_a_pass_without_steps_triggers_a_pass(queue: Queue, passes: Passes) -> None:
    passes.result = FAILED
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    passes.gate.set()
    await passes.wait(2)
