"""A bounded pool of daemon threads: what runs, what never starts, and what happens to errors."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest

from controller.workers import Workers


class Gate:
    """A blocking function that reports its start and waits to be let through."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        """Block until the gate is opened."""
        self.started.set()
        assert self.opened.wait(30)
        return "passed"


@pytest.fixture
def workers() -> Iterator[Workers]:
    """A pool with one thread."""
    made = Workers(1, "test worker")
    yield made
    made.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the end of the test."""
    made = Gate()
    yield made
    made.opened.set()


async def test_the_result_and_the_error_of_a_function_reach_the_caller(workers: Workers) -> None:
    assert await workers.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)


async def test_threads_are_daemons_and_no_more_than_the_size(workers: Workers, gate: Gate) -> None:
    waiting = [workers.run(gate) for _ in range(3)]
    await asyncio.to_thread(gate.started.wait, 30)

    threads = [thread for thread in threading.enumerate() if thread.name.startswith("test worker")]

    assert [thread.daemon for thread in threads] == [True]
    gate.opened.set()
    assert await asyncio.gather(*waiting) == ["passed"] * 3


async def test_a_function_that_is_cancelled_before_its_start_never_runs(workers: Workers, gate: Gate) -> None:
    first, second = workers.run(gate), Gate()
    queued = workers.run(second)
    await asyncio.to_thread(gate.started.wait, 30)

    queued.cancel()
    await asyncio.sleep(0)  # asyncio passes a cancellation on in the next turn of the loop
    gate.opened.set()

    assert await first == "passed"
    await workers.run(lambda: None)  # the same thread has passed the cancelled function by now
    assert not second.started.is_set()


async def test_closing_cancels_what_has_not_started_and_rejects_more(workers: Workers, gate: Gate) -> None:
    first, queued = workers.run(gate), workers.run(Gate())
    await asyncio.to_thread(gate.started.wait, 30)

    workers.close()

    gate.opened.set()
    assert await first == "passed"
    for rejected in (queued, workers.run(Gate())):
        with pytest.raises(asyncio.CancelledError):
            await rejected


async def test_all_threads_but_one_end_without_a_job_and_later_jobs_start_others() -> None:
    workers, both = Workers(2, "brief worker", idle_seconds=0.01), threading.Barrier(2)

    def thread() -> threading.Thread:
        both.wait(30)
        return threading.current_thread()

    # More jobs than threads: each of them must be counted once, or a job would wait for a thread that has ended.
    before = await asyncio.gather(*(workers.run(thread) for _ in range(4)))
    async with asyncio.timeout(30):
        while sum(each.is_alive() for each in {*before}) > 1:  # noqa: ASYNC110 - a thread does not signal its end
            await asyncio.sleep(0.01)

    after = await asyncio.gather(*(workers.run(thread) for _ in range(4)))

    assert len({*before} & {*after}) == 1
    workers.close()


async def test_a_thread_that_waits_keeps_nothing_of_its_last_job() -> None:
    workers = Workers(1, "patient worker", idle_seconds=600)
    kept = weakref.ref(await workers.run(Gate))

    async with asyncio.timeout(30):
        while kept() is not None:  # noqa: ASYNC110 - the thread does not signal that it has let go
            await asyncio.sleep(0.01)
    workers.close()


async def test_a_job_that_meets_the_end_of_a_thread_is_run() -> None:
    workers = Workers(2, "brief worker", idle_seconds=0.0)
    for _ in range(2000):
        await workers.run(lambda: None)
    workers.close()


async def test_where_no_thread_can_be_started_a_job_waits_for_one_of_the_pool(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(2, "lonely worker")
    first = workers.run(gate)
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)

    second = workers.run(lambda: "waited")
    gate.opened.set()

    assert (await first, await second) == ("passed", "waited")
    workers.close()


async def test_a_job_for_which_no_thread_could_be_started_never_runs(
    workers: Workers, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_to_start)
        with pytest.raises(RuntimeError):
            workers.run(gate)

    assert await workers.run(lambda: 7) == 7
    assert not gate.started.is_set()


def refuse_to_start(_: threading.Thread) -> None:
    """Fail as a host with no more threads."""
    raise RuntimeError("can't start new thread")
