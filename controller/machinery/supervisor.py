"""Tasks with an owner: a loop that fails is logged, waits a little, and is started again, for as long as we run.

Nothing here knows what the loops do. A loop that ends by itself without an error has done its work.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
HEALTHY_AFTER = 60.0


class Supervisor:
    """Owns the loops of the service; ``stop`` cancels them and waits."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, loop_function: Callable[[], Awaitable[None]]) -> None:
        """Run ``loop_function`` as a task of its own, again after every failure."""
        self._tasks[name] = asyncio.create_task(_keep_running(name, loop_function), name=name)

    async def stop(self) -> None:
        """Cancel every loop and wait until it ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()


async def while_running(work: Awaitable[T], *tasks: asyncio.Task[Any]) -> T:
    """The result of ``work``, which waits for what the tasks bring.

    Raises the error of a task that fails before that, RuntimeError when one merely ends.
    """
    waiting = asyncio.ensure_future(work)
    try:
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
                raise RuntimeError(f"{task.get_name()} ended, and others wait for it")
        return await waiting
    finally:
        waiting.cancel()


async def _keep_running(name: str, loop_function: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    delay = FIRST_DELAY
    while True:
        began = clock()
        try:
            await loop_function()
        except Exception:  # the owner of last resort: whatever a loop raised, the box must go on
            logger.exception("%s failed and is started again", name)
        else:
            return
        delay = FIRST_DELAY if clock() - began > HEALTHY_AFTER else min(delay * 2, LONGEST_DELAY)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret
