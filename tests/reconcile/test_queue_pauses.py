"""When the queue looks at a key again: ever later after failures, while it waits in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.reconcile.outcome import Kind
from controller.reconcile.queue import Queue
from tests.reconcile.passes import KEY, READY, Passes, ended, idle


def recording(delays: list[tuple[float, float]]) -> Callable[[float, float], float]:
    """A jitter that tells the bounds it was given, and takes no time."""

    def jitter(low: float, high: float) -> float:
        delays.append((low, high))
        return 0.0

    return jitter


async def test_failures_are_tried_again_ever_later(passes: Passes) -> None:
    delays: list[tuple[float, float]] = []
    queue = Queue(passes.reconcile, jitter=recording(delays))
    passes.result = ended("retry")
    queue.add(KEY)
    await passes.wait(9)
    await queue.stop(0)
    assert delays[:8] == [(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60), (30, 60)]


async def test_a_success_forgets_earlier_failures(passes: Passes) -> None:
    delays: list[tuple[float, float]] = []
    queue = Queue(passes.reconcile, jitter=recording(delays))
    passes.result = ended("retry")
    queue.add(KEY)
    await passes.wait(3)
    passes.result = READY
    await queue.reconcile(KEY)
    passes.result = ended("retry")
    delays.clear()
    await queue.reconcile(KEY)
    await queue.stop(0)
    assert delays[0] == (0.5, 1)


@pytest.mark.parametrize(("kind", "bounds"), [("waiting", (5, 15)), ("stalled", (50, 70))])
async def test_waiting_and_stalled_are_looked_at_again_in_their_own_time(
    passes: Passes, kind: Kind, bounds: tuple[float, float]
) -> None:
    delays: list[tuple[float, float]] = []
    queue = Queue(passes.reconcile, jitter=recording(delays))
    passes.result = ended(kind)
    queue.add(KEY)
    await passes.wait(2)
    await queue.stop(0)
    assert delays[0] == bounds


@pytest.mark.parametrize("kind", ["ready", "gone", "paused"])
async def test_what_is_settled_is_not_looked_at_again_and_takes_no_memory(
    queue: Queue, passes: Passes, kind: Kind
) -> None:
    passes.result = ended(kind)
    await queue.reconcile(KEY)
    await idle(queue)
    assert queue._entries == {}


async def test_the_echo_of_failed_steps_is_not_heard(queue: Queue, passes: Passes) -> None:
    passes.result = ended("retry", acted=True)
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    passes.gate.set()
    await idle(queue)
    queue.add(KEY)
    await idle(queue)
    assert passes.started == [KEY]
    await queue.reconcile(KEY)
    assert passes.started == [KEY, KEY]


async def test_an_event_after_a_pass_that_did_nothing_is_heard(queue: Queue, passes: Passes) -> None:
    passes.result = ended("retry")
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    passes.gate.set()
    await passes.wait(2)
