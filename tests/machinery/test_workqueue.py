"""The work queue deduplicates keys, runs one pass per key at a time, and retries."""

from __future__ import annotations

import asyncio

import pytest

from controller import errors
from tests.machinery.passes import FAILED, KEY, OTHER, READY, STOPPING, Passes, Queue, Result, idle, queue_of


async def test_equal_keys_share_one_pass(queue: Queue, passes: Passes) -> None:
    for _ in range(10):
        queue.add(KEY)
    await idle(queue)
    assert passes.started == [KEY]


async def test_a_key_added_during_its_pass_gets_one_more_pass(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    queue.add(KEY)
    passes.gate.set()
    await idle(queue)
    assert passes.started == [KEY, KEY]
    assert passes.max_running == 1


@pytest.mark.parametrize(
    ("first", "passes_in_all"), [pytest.param("event", 1, id="seen"), pytest.param("observation", 2, id="too-late")]
)
async def test_an_event_starts_another_pass_unless_the_pass_observed_after_it(
    passes: Passes, first: str, passes_in_all: int
) -> None:
    now = asyncio.get_running_loop().time

    async def reconcile(key: str, interrupted: asyncio.Event) -> Result:
        await passes.reconcile(key, interrupted)
        if len(passes.started) > 1:
            return READY
        before = now()
        queue.add(KEY)
        return READY._replace(acted=True, observed_at=now() if first == "event" else before)

    queue = queue_of(reconcile)
    queue.add(KEY)
    await idle(queue)
    await queue.stop(0)
    assert len(passes.started) == passes_in_all


async def test_passes_run_concurrently_up_to_the_number_of_workers(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    for number in range(5):
        queue.add(f"edge/plc-{number}")
    await passes.wait(2)
    assert passes.running == 2
    passes.gate.set()
    await idle(queue)
    assert len(passes.started) == 5
    assert passes.max_running == 2


async def test_a_hundred_slow_passes_do_not_delay_another(passes: Passes) -> None:
    passes.gate = asyncio.Event()
    queue = queue_of(passes.reconcile)
    for number in range(100):
        queue.add(f"edge/slow-{number}")
    queue.add(OTHER)
    await passes.wait(101)
    assert OTHER in passes.started
    await queue.stop(0)


async def test_reconcile_returns_a_pass_that_started_after_the_call(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    first = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    second = asyncio.create_task(queue.reconcile(KEY))
    passes.gate.set()
    assert await first == await second == READY
    assert len(passes.started) == 2


async def test_a_changed_object_interrupts_the_pass_but_an_event_does_not(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    queue.add(KEY)
    await passes.wait(1)
    queue.add(KEY)
    assert not passes.interruptions[0].is_set()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await asyncio.wait_for(passes.interruptions[0].wait(), 30)
    passes.gate.set()
    await waiting


async def test_cancelling_the_caller_does_not_cancel_the_pass(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    waiting.cancel()
    passes.gate.set()
    await idle(queue)
    assert passes.started == [KEY]
    assert passes.running == 0


async def test_a_superseded_pass_is_repeated_at_once(passes: Passes) -> None:
    follow_up = [READY._replace(again=True), READY]

    async def reconcile(key: str, interrupted: asyncio.Event) -> Result:
        passes.started.append(key)
        return follow_up.pop(0)

    queue = queue_of(reconcile)
    queue.add(KEY)
    await idle(queue)
    assert passes.started == [KEY, KEY]


@pytest.mark.parametrize("error", [errors.ApiUnavailableError("no answer"), RuntimeError("a fault")])
async def test_an_error_of_a_pass_is_retried(error: Exception) -> None:
    async def fail(key: str, interrupted: asyncio.Event) -> Result:
        raise error

    queue = queue_of(fail)
    assert await queue.reconcile(KEY) == FAILED
    await queue.stop(0)


async def test_a_repeated_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    results: list[errors.EdgeError | None] = [
        errors.DiskFullError("full"),
        errors.DiskFullError("full"),
        errors.ApiUnavailableError("no answer"),
        None,
        errors.ApiUnavailableError("no answer"),
    ]
    over = asyncio.Event()

    async def reconcile(key: str, interrupted: asyncio.Event) -> Result:
        error = results.pop(0)
        if not results:
            over.set()
        if error:
            raise error
        return READY

    queue = queue_of(reconcile)
    while not over.is_set():
        await queue.reconcile(KEY)
    await queue.stop(1)
    reported = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert reported == [f"Cannot reconcile {KEY}: {words}" for words in ("full", "no answer", "no answer")]


async def test_stop_lets_passes_finish_and_accepts_no_more(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    stopping = asyncio.create_task(queue.stop(5))
    await asyncio.sleep(0)
    queue.add(OTHER)
    passes.gate.set()
    await stopping
    assert await waiting == READY
    assert passes.started == [KEY]
    assert await queue.reconcile(KEY) == STOPPING


async def test_stop_cancels_passes_after_the_grace_period(queue: Queue, passes: Passes) -> None:
    passes.gate = asyncio.Event()
    waiting = asyncio.create_task(queue.reconcile(KEY))
    await passes.wait(1)
    await queue.stop(0)
    assert await waiting == STOPPING
    assert passes.running == 0


async def test_stop_begins_no_pass_that_waits_for_a_worker(passes: Passes) -> None:
    passes.gate = asyncio.Event()
    queue = queue_of(passes.reconcile, workers=1)
    first, second = (asyncio.create_task(queue.reconcile(key)) for key in (KEY, OTHER))
    await passes.wait(1)
    while queue.depth < 2:  # noqa: ASYNC110 - the queue has no event for tests
        await asyncio.sleep(0)
    stopping = asyncio.create_task(queue.stop(5))
    await asyncio.sleep(0)
    passes.gate.set()
    await stopping
    assert passes.started == [KEY]
    assert (await first, await second) == (READY, STOPPING)


async def test_a_pass_wakes_other_keys(passes: Passes) -> None:
    async def reconcile(key: str, interrupted: asyncio.Event) -> Result:
        await passes.reconcile(key, interrupted)
        return READY._replace(wake=(OTHER,)) if key == KEY else READY

    queue = queue_of(reconcile)
    queue.add(KEY)
    await idle(queue)
    await queue.stop(0)
    assert passes.started == [KEY, OTHER]


async def test_a_woken_key_gets_a_pass_that_begins_later(passes: Passes) -> None:
    passes.gate = asyncio.Event()

    async def reconcile(key: str, interrupted: asyncio.Event) -> Result:
        if key == KEY:
            return READY._replace(wake=(OTHER,))
        await passes.reconcile(key, interrupted)
        return READY._replace(observed_at=asyncio.get_running_loop().time())

    queue = queue_of(reconcile)
    queue.add(OTHER)
    await passes.wait(1)
    assert await queue.reconcile(KEY) == READY._replace(wake=(OTHER,))
    passes.gate.set()
    await idle(queue)
    await queue.stop(0)
    assert passes.started == [OTHER, OTHER]
