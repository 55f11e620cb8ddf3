"""A fake reconcile function for the queue that blocks at a gate."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.machinery.backoff import Jitter
from controller.machinery.workqueue import BACKOFF, RetryAfter, WorkQueue

KEY, OTHER = "edge/plc-1", "edge/plc-2"


class Result(NamedTuple):
    """The result of a pass."""

    retry: RetryAfter = None
    again: bool = False
    acted: bool = False
    held_seconds: float = 0.0
    wake: tuple[str, ...] = ()
    observed_at: float = 0.0

    @property
    def settled(self) -> bool:
        return not self.again and self.retry is None


READY = Result()
FAILED = Result(BACKOFF)
STOPPING = Result((5, 15))

Queue = WorkQueue[str, Result]


@dataclass
class Passes:
    """A reconcile function that records its passes and, with a ``gate``, blocks until it is open."""

    result: Result = READY
    started: list[str] = field(default_factory=list)
    running: int = 0
    max_running: int = 0
    gate: asyncio.Event | None = None
    interruptions: list[asyncio.Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reconcile(self, key: str, interrupted: asyncio.Event) -> Result:
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        self.started.append(key)
        self.interruptions.append(interrupted)
        async with self.changed:
            self.changed.notify_all()
        try:
            if self.gate:
                await self.gate.wait()
            return self.result
        finally:
            self.running -= 1

    async def wait(self, count: int, seconds: float = 30) -> None:
        """Wait until ``count`` passes have started."""
        async with self.changed, asyncio.timeout(seconds):
            await self.changed.wait_for(lambda: len(self.started) >= count)


async def idle(queue: Queue) -> None:
    """Wait until no pass is queued or running."""
    async with asyncio.timeout(30):
        while queue.depth:  # noqa: ASYNC110 - the queue has no event for tests
            await asyncio.sleep(0)


def queue_of(
    reconcile: Callable[[str, asyncio.Event], Awaitable[Result]],
    *,
    workers: int = 256,
    jitter: Jitter = random.uniform,
) -> Queue:
    """A queue that retries errors with the backoff."""
    return WorkQueue(reconcile, of_error=lambda _: FAILED, stopping=STOPPING, workers=workers, jitter=jitter)
