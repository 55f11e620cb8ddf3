"""A thread for slow work: decoding, converting and encoding large objects without blocking the event loop.

One thread only: threads share the interpreter lock, so several would starve the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Worker:
    """One thread. Cancelling a request drops its queued work."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")

    async def run(self, work: Callable[[], T]) -> T:
        """Run the work in the thread; its exceptions propagate."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def handle(self, work: Callable[[], T], *, large: bool) -> T:
        """Run work, in the thread only if it is about something large: for small things the switch costs more."""
        return await self.run(work) if large else work()

    def close(self) -> None:
        """Accept no more work and cancel what is queued."""
        # A running job cannot be interrupted, and waiting for it would block the event loop.
        self._thread.shutdown(wait=False, cancel_futures=True)
