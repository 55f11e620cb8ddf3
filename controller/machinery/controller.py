"""A loop that brings something into its desired state: level-triggered, without keys (client-go: wait.Until).

For work by key see workqueue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller import errors
from controller.machinery.backoff import Backoff, Retry

T = TypeVar("T")

log = logging.getLogger(__name__)

Reconcile = Callable[[], Awaitable[float | None]]
"""Does all that is to do now. Returns the seconds after which to run again, None to leave that to the controller."""


class Controller:
    """Calls ``reconcile`` at the start, after each ``trigger``, and at least every ``period`` seconds (None: no limit).

    ``name`` is a verb phrase that completes "Failed to". A failure is retried with ``backoff``, at most ``period``
    seconds later, and logged once while it repeats: one of the classes ``expected`` by its text; any other is a bug and
    is logged with its traceback. A run that takes more than ``timeout`` seconds fails. ``pause`` is the least
    time between two runs. ``beat`` is called after each run, successful or not.
    """

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        period: float | None = None,
        backoff: Backoff | None = None,
        pause: float = 0.0,
        timeout: float | None = None,
        beat: Callable[[], None] = lambda: None,
        expected: tuple[type[Exception], ...] = (errors.EdgeError,),
    ) -> None:
        self._name = name
        self._reconcile = reconcile
        self._period = period
        self._retry = Retry(name, log, backoff or Backoff())
        self._pause = pause
        self._timeout = timeout
        self._beat = beat
        self._expected = expected
        self._triggered = asyncio.Event()

    def trigger(self) -> None:
        """Run soon. A trigger during a run causes another run; several before a run cause one."""
        self._triggered.set()

    async def run(self) -> None:
        """Run until cancelled. Never returns and raises nothing."""
        while True:
            self._triggered.clear()  # before the run: it may already have passed what a trigger during it is about
            delay = await self._run_once()
            self._beat()
            await self._wait(delay)

    async def _wait(self, delay: float | None) -> None:
        """Wait for the pause, and then for a trigger or the end of the delay."""
        # A timer, not a timeout, which would cancel this task and raise: some loops run every second.
        due = None if delay is None else asyncio.get_running_loop().call_later(delay, self.trigger)
        try:
            # Also with a pause of 0: a run that triggers itself must let other tasks run.
            if self._pause or self._triggered.is_set():
                await asyncio.sleep(self._pause)
            await self._triggered.wait()
        finally:
            if due is not None:
                due.cancel()

    async def _run_once(self) -> float | None:
        """Reconcile once; return the seconds until the next run, None to wait for a trigger."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                requested = await self._reconcile()
        except self._expected as error:
            return self._at_most_period(self._retry.failed(str(error) or type(error).__name__))
        except Exception as error:  # last resort: a bug in one run must not end the loop
            # A TimeoutError that the run raised itself is a bug like any other; only our own limit is not.
            if isinstance(error, TimeoutError) and limit.expired():
                return self._at_most_period(self._retry.failed(f"no answer within {self._timeout:.0f} s"))
            if not self._retry.repeats(repr(error)):  # a loop may run every second
                log.exception("Failed to %s", self._name)
            return self._at_most_period(self._retry.failed(repr(error), quiet=True))
        self._retry.succeeded()
        return self._period if requested is None else self._at_most_period(requested)

    def _at_most_period(self, seconds: float) -> float:
        # The backoff may be longer than the period, which promises a run at least that often.
        return seconds if self._period is None else min(seconds, self._period)


async def poll(read: Callable[[], Awaitable[T]], settled: Callable[[T], bool], seconds: float, backoff: Backoff) -> T:
    """Read until the result has settled or the time is up; return the last result. For a state without a watch."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        result = await read()
        if settled(result) or clock() > deadline:
            return result
        await asyncio.sleep(backoff.next())
