"""Bounds how many passes compute at once: each holds its objects in memory, and they would all take longer for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """``async with`` waits for a turn. One who has it may wait for others outside of it, and never waits to go on."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._exceeding = 0  # went on while no turn was free

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(self, *_: object) -> None:
        if self._exceeding:
            self._exceeding -= 1
        else:
            self._free.release()

    async def outside(self, work: Awaitable[T]) -> T:
        """The result of work that takes long without computing here, such as a pull. For one who has a turn."""
        await self.__aexit__()
        try:
            return await work
        finally:
            if self._free.locked():
                self._exceeding += 1
            else:
                await self._free.acquire()  # at once
