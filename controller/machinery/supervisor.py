"""Supervises long-running tasks: restarts a loop that failed, with a backoff, and reports one that is stuck.

A loop that returns without an error is not restarted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from controller.machinery.backoff import Backoff

T = TypeVar("T")

logger = logging.getLogger(__name__)

HEALTHY_SECONDS = 60.0  # a task that ran this long is restarted without a long delay


class Supervisor:
    """Owns the service's loops; ``stop`` cancels them and waits."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, loop_function: Callable[[], Awaitable[None]]) -> None:
        """Run ``loop_function`` as a task and restart it after every failure."""
        self._tasks[name] = asyncio.create_task(_keep_running(name, loop_function), name=name)

    async def stop(self) -> None:
        """Cancel all loops and wait for their end."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()


async def while_running(work: Awaitable[T], *tasks: asyncio.Task[Any]) -> T:
    """Return the result of ``work``, which depends on the tasks.

    Raises the error of a task that fails first, or RuntimeError when one ends.
    """
    waiting = asyncio.ensure_future(work)
    try:
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        # Before the result of the work: it may rest on what a failed task did not do.
        for task in tasks:
            if task.done():
                task.result()
                raise RuntimeError(f"{task.get_name()} ended while others depend on it")
        return await waiting
    finally:
        # asyncio.wait() does not cancel what it waits for when it is cancelled itself.
        waiting.cancel()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run ``work`` beside the body and wait for its end; a cancellation cancels both."""
    task = asyncio.create_task(work)
    try:
        yield task
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        await _end_of(task)


async def _end_of(task: asyncio.Task[Any]) -> None:
    """Wait for the end of a task; a cancellation cancels it too."""
    try:
        # Unlike ``await task``, this does not replace an error of the caller.
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        raise


async def _keep_running(name: str, loop_function: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    backoff = Backoff(first=0.5)
    while True:
        began = clock()
        try:
            await loop_function()
        except Exception:  # last resort: one failing loop must not stop the controller
            logger.exception("Restarting %s after a failure", name)
        else:
            return
        if clock() - began > HEALTHY_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next())


class Liveness:
    """Each registered loop reports a heartbeat after every iteration; without one within its limit it is stale.

    ``beat`` may be called from any thread. Time is monotonic: setting the clock or suspending the host makes no loop
    stale.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, name: str, within: float) -> Callable[[], None]:
        """Expect a heartbeat of ``name`` every ``within`` seconds; return the function that its loop calls."""
        self._limits[name] = within
        self.beat(name)
        return lambda: self.beat(name)

    def forget(self, name: str) -> None:
        """Stop expecting heartbeats of ``name``, which has ended properly."""
        self._limits.pop(name, None)

    def beat(self, name: str) -> None:
        """Record one iteration of the loop ``name``."""
        self._last[name] = self._clock()

    def stale(self) -> list[str]:
        """Return one sentence for each loop over its limit."""
        now = self._clock()
        ages = {name: now - self._last[name] for name in list(self._limits)}
        return [
            f"{name} has been stuck for {age:.0f} s (limit {self._limits[name]:.0f} s)"
            for name, age in ages.items()
            if age > self._limits[name]
        ]
