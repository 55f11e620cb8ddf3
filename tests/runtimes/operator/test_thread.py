"""The operator's thread runs as long as the controller, whatever happens in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from controller.api import reasons
from controller.machinery.client import Endpoint
from controller.runtimes.keys import Key, Version
from controller.runtimes.operator.submission import Submission
from controller.runtimes.operator.thread import OperatorThread, Serve
from controller.runtimes.outcome import Outcome
from controller.runtimes.result import Result

KEY = Key("edge", "plc-1")
OLD, NEW = Version("uid", 1), Version("uid", 2)
READY = Result(Outcome("ready", reasons.RUNNING, "it runs"))
NOWHERE = Endpoint("https://127.0.0.1:1")


class FakeOperator:
    """A fake kopf: each run submits a key and its new version, then fails or blocks as the test says."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.failures: list[Exception] = []
        self.results: list[Result | None] = []
        self.threads: set[int] = set()

    def load(self) -> Serve:
        return self.serve

    async def serve(self, endpoint: Endpoint, submit: Submission, node: str, field_selector: str) -> None:
        self.threads.add(threading.get_ident())
        self.results.append(await submit(KEY, NEW))
        self.started.release()
        if self.failures:
            raise self.failures.pop()
        await asyncio.Event().wait()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=30)


async def reconcile(key: Key) -> Result:
    return READY


def has_read_old(key: Key, version: Version) -> bool:
    return version == OLD


def has_read_new(key: Key, version: Version) -> bool:
    return version == NEW


@pytest.fixture
def fake() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def operator(fake: FakeOperator) -> AsyncIterator[OperatorThread]:
    made = OperatorThread(NOWHERE, reconcile, has_read_old, node="node-1", load=fake.load)
    yield made
    assert await made.stop(5)


async def test_keys_are_submitted_to_the_loop_that_called_start(fake: FakeOperator) -> None:
    threads: list[int] = []

    async def note(key: Key) -> Result:
        threads.append(threading.get_ident())
        return READY

    operator = OperatorThread(NOWHERE, note, has_read_old, node="node-1", load=fake.load)
    operator.start()
    await fake.wait()
    assert threads == [threading.get_ident()]
    assert fake.threads.isdisjoint(threads)
    assert fake.results == [READY]
    assert await operator.stop(5)


async def test_a_version_that_a_pass_has_read_gets_no_other_pass(fake: FakeOperator) -> None:
    operator = OperatorThread(NOWHERE, reconcile, has_read_new, node="node-1", load=fake.load)
    operator.start()
    await fake.wait()
    assert fake.results == [None]
    assert await operator.stop(5)


async def test_kopf_is_restarted_after_a_crash(
    operator: OperatorThread, fake: FakeOperator, caplog: pytest.LogCaptureFixture
) -> None:
    fake.failures.append(RuntimeError("the watch broke"))
    operator.start()
    await fake.wait()
    await fake.wait()
    assert "the watch broke" in caplog.text


async def test_it_responds_while_it_runs(operator: OperatorThread, fake: FakeOperator) -> None:
    assert not await operator.responds(0.1)
    operator.start()
    await fake.wait()
    assert await operator.responds(5)
    assert await operator.stop(5)
    assert not await operator.responds(0.1)


async def test_stop_before_start_is_a_no_op(operator: OperatorThread) -> None:
    assert await operator.stop(0)


async def test_a_start_after_the_stop_runs_nothing(operator: OperatorThread, fake: FakeOperator) -> None:
    assert await operator.stop(0)
    operator.start()
    for thread in [thread for thread in threading.enumerate() if thread.name == "operator"]:
        await asyncio.to_thread(thread.join, 5)
    assert not fake.threads
