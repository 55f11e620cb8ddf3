"""A fake reconcile function for the queue that blocks at a gate."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from controller.api import reasons
from controller.runtimes.keys import Key
from controller.runtimes.outcome import Kind, Outcome
from controller.runtimes.queue import Queue
from controller.runtimes.reconciler import Result

KEY = Key("edge", "plc-1")
OTHER = Key("edge", "plc-2")
READY = Result(Outcome("ready", reasons.RUNNING, "it runs"))


def ended(kind: Kind, *, acted: bool = False, again: bool = False) -> Result:
    """The result of a pass."""
    return Result(Outcome(kind, reasons.STEP_FAILED, "ended"), acted=acted, again=again)


@dataclass
class Passes:
    """A reconcile function that records its passes and, with a ``gate``, blocks until it is open."""

    result: Result = READY
    started: list[Key] = field(default_factory=list)
    running: int = 0
    max_running: int = 0
    gate: asyncio.Event | None = None
    interruptions: list[asyncio.Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
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
