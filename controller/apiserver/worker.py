"""The thread for what takes long: reading, showing and encoding large objects. The event loop goes on meanwhile.

There is one, since threads share the interpreter: several would keep it from the loop for longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from controller.apiserver import bounds

T = TypeVar("T")


class Worker:
    """One thread. What waits for it is forgotten when its request is cancelled."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in the thread; what it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def handle(self, values: Collection[Any], work: Callable[[], T]) -> T:
        """Do the work on these values, in the thread when they are large: changing threads costs more than a few."""
        return await self.run(work) if bounds.are_large(values) else work()

    def close(self) -> None:
        """Take nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
