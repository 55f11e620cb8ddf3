"""Values that wait for a consumer: one that is added again before it was taken is delivered once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from controller.machinery.supervisor import while_running

T = TypeVar("T", bound=Hashable)


class PendingSet(Generic[T]):
    """Bounds the memory for unread changes by the number of things that change. Belongs to one event loop."""

    def __init__(self) -> None:
        self._values: dict[T, None] = {}
        self._added = asyncio.Event()

    def add(self, value: T) -> None:
        """Add a value, or move it to the end: the last of several states that is taken must be the current one."""
        self._values.pop(value, None)
        self._values[value] = None
        self._added.set()

    async def take(self) -> T:
        """Remove and return the first value; waits for one."""
        # A loop: another consumer may take the value before this one wakes up.
        while not self._values:
            self._added.clear()
            await self._added.wait()
        value = next(iter(self._values))
        del self._values[value]
        return value

    async def __aiter__(self) -> AsyncGenerator[T]:
        """Take values forever."""
        while True:
            yield await self.take()

    async def filled_by(self, *sources: Coroutine[Any, Any, None]) -> AsyncGenerator[T]:
        """Take values while the sources run as tasks, which end with the iterator.

        Raises the error of the source that fails first, because the values would be incomplete from then on.
        """
        tasks = [asyncio.create_task(source) for source in sources]
        try:
            while True:
                yield await while_running(self.take(), *tasks)
        finally:
            for task in tasks:
                task.cancel()
            # Awaited, so that no source is still running when the iterator has ended.
            await asyncio.gather(*tasks, return_exceptions=True)
