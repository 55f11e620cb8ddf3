"""When the queue retries a Runtime follows from the outcome of its pass."""

from __future__ import annotations

import asyncio

import pytest

from controller import errors
from controller.api import reasons
from controller.machinery.workqueue import BACKOFF, RetryAfter
from controller.runtimes.keys import Key
from controller.runtimes.outcome import Kind, Outcome
from controller.runtimes.result import STOPPING, Result, work_queue

KEY = Key("edge", "plc-1")


@pytest.mark.parametrize(
    ("kind", "retry"),
    [
        ("retry", BACKOFF),
        ("waiting", (5, 15)),
        ("stalled", (50, 70)),
        ("ready", None),
        ("gone", None),
        ("paused", None),
    ],
)
def test_failures_back_off_while_waiting_and_stalled_have_fixed_intervals(kind: Kind, retry: RetryAfter) -> None:
    result = Result(Outcome(kind, reasons.STEP_FAILED, "ended"))
    assert result.retry == retry
    assert result.settled == (retry is None)


async def test_an_error_of_a_pass_becomes_its_outcome() -> None:
    async def fail(key: Key, interrupted: asyncio.Event) -> Result:
        raise errors.Stalled(reasons.NAME_TAKEN, "remove it")

    queue = work_queue(fail)
    assert (await queue.reconcile(KEY)).outcome == Outcome("stalled", reasons.NAME_TAKEN, "remove it")
    await queue.stop(0)
    assert await queue.reconcile(KEY) == STOPPING
