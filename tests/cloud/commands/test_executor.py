"""Whatever fails while a command runs, it is answered once, and a redelivery gets the same answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from controller import errors
from controller.cloud.answers import CANCELLED, INTERNAL_ERROR, Answer
from controller.cloud.commands import executor as executors
from controller.cloud.commands.call import OUTCOME_UNKNOWN, Call
from controller.cloud.commands.command import Command, Semantics
from controller.cloud.commands.executor import Executor, Handler
from controller.cloud.contracts.base import DeviceMessage
from tests.support.command_harness import CommandHarness

DONE = {"status": "success"}
FAILURES = [
    pytest.param(errors.CommandError("not now"), "not now", id="refusal"),
    pytest.param(errors.ApiUnavailableError("no answer"), "no answer", id="api"),
    pytest.param(ZeroDivisionError(), INTERNAL_ERROR, id="bug"),
    pytest.param(TimeoutError(), INTERNAL_ERROR, id="timeout"),
    pytest.param(asyncio.CancelledError(), CANCELLED, id="cancelled-inside"),
]


def command(semantics: Semantics = Semantics.IDEMPOTENT) -> Command:
    """The same command at every call."""
    payload = {"correlation_id": 1, "requested_at": "2026-01-01T00:00:00Z", "device_id": "plc-1"}
    return Command.of("stop_device", payload, DeviceMessage.model_validate(payload), semantics)


def handler(*, before: BaseException | None = None, after: BaseException | None = None) -> Handler:
    """A handler that raises before it begins, or after, or succeeds."""

    async def handle(_: Any, call: Call) -> Answer:
        if before:
            raise before
        await call.begin()
        if after:
            raise after
        return DONE

    return handle


async def never(_: Any, call: Call) -> Answer:
    """A handler that must not act, as the command was answered before."""
    await call.begin()
    raise AssertionError("executed again")


class Waiting:
    """A handler that waits, before or after it begins, until the test lets it go on."""

    def __init__(self, *, begin: bool = True) -> None:
        self.reached, self.proceed = asyncio.Event(), asyncio.Event()
        self.resumed: list[bool] = []
        self._begin = begin

    async def __call__(self, _: Any, call: Call) -> Answer:
        if self._begin:
            self.resumed.append(await call.begin())
        self.reached.set()
        await self.proceed.wait()
        return DONE


@pytest.fixture
def executor(harness: CommandHarness) -> Executor:
    """The executor of one process."""
    return harness.executor


@pytest.fixture
def restarted(after_restart: CommandHarness) -> Executor:
    """The executor of the next process."""
    return after_restart.executor


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize(("failure", "error"), FAILURES)
async def test_a_failing_command_is_answered_once(
    executor: Executor, restarted: Executor, stage: str, failure: BaseException, error: str
) -> None:
    answer = await executor.execute(command(), handler(**{stage: failure}))
    assert answer == {"status": "error", "error": error}
    assert await executor.execute(command(), never) == answer
    assert await restarted.execute(command(), never) == answer


async def test_a_command_that_acts_before_it_is_journaled_is_a_bug(
    executor: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    async def hasty(_: Any, __: Call) -> Answer:
        return DONE

    assert (await executor.execute(command(), hasty))["error"] == INTERNAL_ERROR
    assert "acted before it was journaled" in caplog.text


@pytest.mark.parametrize(("failure", "_error"), FAILURES[:3])
async def test_a_command_that_cannot_be_journaled_does_not_act_and_may_be_sent_again(
    executor: Executor,
    harness: CommandHarness,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    _error: str,
) -> None:
    async def fail(_: Command) -> Any:
        raise failure

    waiting = Waiting()
    with monkeypatch.context() as patched:
        patched.setattr(harness.journal, "open", fail)
        with pytest.raises(type(failure)):
            await executor.execute(command(), waiting)
    assert not waiting.reached.is_set()
    assert await executor.execute(command(), handler()) == DONE


@pytest.mark.parametrize(("failure", "_error"), FAILURES)
async def test_a_failure_to_save_an_answer_does_not_lose_it(
    executor: Executor,
    harness: CommandHarness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: BaseException,
    _error: str,
) -> None:
    async def fail(*_: Any) -> None:
        raise failure

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(harness.journal, "close", fail)
    assert await executor.execute(command(), handler()) == DONE
    assert "stop_device" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("begin", [False, True], ids=["reading", "acting"])
async def test_stopping_cancels_a_command_and_a_redelivery_resumes_it(
    executor: Executor, restarted: Executor, begin: bool
) -> None:
    waiting = Waiting(begin=begin)
    sending = asyncio.create_task(executor.execute(command(), waiting))
    await waiting.reached.wait()
    await executor.stop()
    await asyncio.wait([sending])
    assert sending.cancelled()
    again = Waiting()
    again.proceed.set()
    assert await restarted.execute(command(), again) == DONE
    assert again.resumed[0] >= begin  # one that only read may not have been recorded yet


async def test_a_command_that_is_executed_at_most_once_is_not_resumed(executor: Executor, restarted: Executor) -> None:
    waiting, once = Waiting(), command(Semantics.AT_MOST_ONCE)
    sending = asyncio.create_task(executor.execute(once, waiting))
    await waiting.reached.wait()
    await executor.stop()
    await asyncio.wait([sending])
    assert await restarted.execute(once, never) == OUTCOME_UNKNOWN
    assert await restarted.execute(once, never) == OUTCOME_UNKNOWN


@pytest.fixture
def saving(harness: CommandHarness, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """Holds every answer while it is being saved."""
    gate, close = Waiting(begin=False), harness.journal.close

    async def held(*arguments: Any) -> None:
        gate.reached.set()
        await gate.proceed.wait()
        await close(*arguments)

    monkeypatch.setattr(harness.journal, "close", held)
    return gate


async def test_stopping_lets_an_answer_be_saved(executor: Executor, restarted: Executor, saving: Waiting) -> None:
    sending = asyncio.create_task(executor.execute(command(), handler()))
    await saving.reached.wait()
    stopping = asyncio.create_task(executor.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    saving.proceed.set()
    await stopping
    assert await sending == DONE
    assert await restarted.execute(command(), never) == DONE


async def test_stopping_does_not_wait_long_for_a_save_that_hangs(
    executor: Executor, saving: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "STOP_SECONDS", 0.01)
    sending = asyncio.create_task(executor.execute(command(), handler()))
    await saving.reached.wait()
    await executor.stop()
    assert not sending.done()
    saving.proceed.set()
    assert await sending == DONE


async def test_a_cancelled_caller_does_not_cancel_the_command(executor: Executor) -> None:
    waiting = Waiting()
    lost = asyncio.create_task(executor.execute(command(), waiting))
    await waiting.reached.wait()
    lost.cancel()
    await asyncio.wait([lost])
    again = asyncio.create_task(executor.execute(command(), never))
    waiting.proceed.set()
    assert await again == DONE
    assert waiting.resumed == [False]
