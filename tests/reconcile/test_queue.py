"""The work queue: equal keys together, one pass a key, and when it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from controller import errors
from controller.reconcile.keys import Key
from controller.reconcile.outcome import Kind, Outcome
from controller.reconcile.queue import Queue
from controller.reconcile.reconciler import Result
from controller.resources import reasons

KEY = Key("edge", "plc-1")
OTHER = Key("edge", "plc-2")
READY = Result(Outcome("ready", reasons.RUNNING, "it runs"))


def ended(kind: Kind, *, acted: bool = False, again: bool = False) -> Result:
    return Result(Outcome(kind, reasons.STEP_FAILED, "so it ended"), acted=acted, again=again)


@dataclass
class Passes:
    """A reconcile function that the test lets go on, pass by pass; ``delays`` are the pauses the queue chose."""

    result: Result = READY
    started: list[Key] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    gate: asyncio.Event | None = None
    interruptions: list[asyncio.Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.started.append(key)
        self.interruptions.append(interrupted)
        async with self.changed:
            self.changed.notify_all()
        try:
            if self.gate:
                await self.gate.wait()
            return self.result
        finally:
            self.under_way -= 1

    async def wait(self, count: int) -> None:
        """Wait until that many passes have started."""
        async with self.changed, asyncio.timeout(5):
            await self.changed.wait_for(lambda: len(self.started) >= count)


@pytest.fixture
async def passes() -> Passes:
    return Passes()


@pytest.fixture
async def queue(passes: Passes) -> AsyncIterator[Queue]:
    made = Queue(passes.reconcile, workers=2)
    yield made
    await made.stop(0)


async def idle(queue: Queue) -> None:
    """Wait until no pass is wanted or under way."""
    async with asyncio.timeout(5):
        while queue.depth:  # noqa: ASYNC110 - the queue has no event for tests
            await asyncio.sleep(0)


async def test_equal_keys_are_one_pass(queue: Queue, passes: Passes) -> None:
    for _ in range(10):
        queue.add(KEY)
    await idle(queue)
    assert passes.started == [KEY]


async def test_a_key_added_during_its_pass_gets_one_more(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    queue.add(KEY)
    passes.gate.set()
    await idle(queue)
    assert passes.started == [KEY, KEY]
    assert passes.most_under_way == 1


async def test_keys_run_at_once_up_to_the_number_of_workers(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    for number in range(5):
        queue.add(Key("edge", f"plc-{number}"))
    await passes.wait(2)
    assert passes.under_way == 2
    passes.gate.set()
    await idle(queue)
    assert len(passes.started) == 5
    assert passes.most_under_way == 2


async def test_who_waits_gets_a_pass_that_started_after_the_call(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    first = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    second = asyncio.create_task(queue.reconcile(KEY))
    passes.gate.set()
    assert await first == await second == READY
    assert len(passes.started) == 2


async def test_a_change_of_the_object_interrupts_the_pass_and_a_mere_event_does_not(
    queue: Queue, passes: Passes
) -> None:
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    assert not passes.interruptions[0].is_set()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await asyncio.wait_for(passes.interruptions[0].wait(), 5)
    passes.gate.set()
    await waiting


async def test_giving_up_waiting_does_not_end_the_pass(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    waiting.cancel()
    passes.gate.set()
    await idle(queue)
    assert passes.started == [KEY]
    assert passes.under_way == 0


async def test_a_superseded_pass_is_followed_by_another_at_once(passes: Passes) -> None:
    follow_up = [ended("waiting", again=True), READY]

    async def reconcile(key: Key, interrupted: asyncio.Event) -> Result:
        passes.started.append(key)
        return follow_up.pop(0)

    queue = Queue(reconcile)
    queue.add(KEY)
    await idle(queue)
    assert passes.started == [KEY, KEY]


@pytest.mark.parametrize("error", [errors.ApiUnavailableError("no answer"), RuntimeError("a fault")])
async def test_an_error_of_a_pass_is_a_result_to_try_again(error: Exception) -> None:
    async def fail(key: Key, interrupted: asyncio.Event) -> Result:
        raise error

    queue = Queue(fail)
    assert (await queue.reconcile(KEY)).outcome.kind == "retry"
    await queue.stop(0)


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


async def test_stop_lets_passes_end_and_takes_no_more(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    stopping = asyncio.create_task(queue.stop(5))
    await asyncio.sleep(0)
    queue.add(OTHER)
    passes.gate.set()
    await stopping
    assert (await waiting) == READY
    assert passes.started == [KEY]
    assert not (await queue.reconcile(KEY)).settled


async def test_stop_ends_passes_that_take_too_long(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    await queue.stop(0)
    assert not (await waiting).settled
    assert passes.under_way == 0
