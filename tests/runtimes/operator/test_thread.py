"""The operator's thread: it lives as long as the controller, whatever happens inside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from controller.api import reasons
from controller.machinery.client import Endpoint
from controller.runtimes.keys import Key
from controller.runtimes.operator.thread import OperatorThread, Reconcile, Serve
from controller.runtimes.outcome import Outcome
from controller.runtimes.reconciler import Result

KEY = Key("edge", "plc-1")
READY = Result(Outcome("ready", reasons.RUNNING, "it runs"))
NOWHERE = Endpoint("https://127.0.0.1:1")


class Lives:
    """Stands for kopf: each life submits a key, then goes as the test says."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.failures: list[Exception] = []
        self.results: list[Result] = []
        self.threads: set[int] = set()

    def load(self) -> Serve:
        return self.serve

    async def serve(self, endpoint: Endpoint, submit: Reconcile, node: str, field_selector: str) -> None:
        self.threads.add(threading.get_ident())
        self.results.append(await submit(KEY))
        self.begun.release()
        if self.failures:
            raise self.failures.pop()
        await asyncio.Event().wait()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=30)


async def reconcile(key: Key) -> Result:
    return READY


@pytest.fixture
def lives() -> Lives:
    return Lives()


@pytest.fixture
async def operator(lives: Lives) -> AsyncIterator[OperatorThread]:
    made = OperatorThread(NOWHERE, reconcile, node="node-1", load=lives.load)
    yield made
    assert await made.stop(5)


async def test_keys_are_handed_to_the_loop_that_started_it(lives: Lives) -> None:
    threads: list[int] = []

    async def note(key: Key) -> Result:
        threads.append(threading.get_ident())
        return READY

    operator = OperatorThread(NOWHERE, note, node="node-1", load=lives.load)
    operator.start()
    await lives.wait()
    assert threads == [threading.get_ident()]
    assert lives.threads.isdisjoint(threads)
    assert lives.results == [READY]
    assert await operator.stop(5)


async def test_a_crash_is_followed_by_another_life(
    operator: OperatorThread, lives: Lives, caplog: pytest.LogCaptureFixture
) -> None:
    lives.failures.append(RuntimeError("the watch broke"))
    operator.start()
    await lives.wait()
    await lives.wait()
    assert "the watch broke" in caplog.text


async def test_it_responds_while_it_lives(operator: OperatorThread, lives: Lives) -> None:
    assert not await operator.responds(0.1)
    operator.start()
    await lives.wait()
    assert await operator.responds(5)
    assert await operator.stop(5)
    assert not await operator.responds(0.1)


async def test_stop_before_start_is_nothing(operator: OperatorThread) -> None:
    assert await operator.stop(0)
