"""Hands keys over from kopf's loop to the work queue, which runs in another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from controller.runtimes.keys import Key, Version
from controller.runtimes.result import Result

Reconcile = Callable[[Key], Coroutine[Any, Any, Result]]
HasRead = Callable[[Key, Version], bool]


class Submission:
    """Call it in kopf's loop; ``reconcile`` and ``has_read`` run in ``main``, the loop of the queue.

    ``has_read``: whether a pass has read a version. At the start of the process the resync hands in each key as well.
    """

    def __init__(self, reconcile: Reconcile, has_read: HasRead, main: asyncio.AbstractEventLoop) -> None:
        self._reconcile = reconcile
        self._has_read = has_read
        self._main = main

    async def __call__(self, key: Key, version: Version | None = None) -> Result | None:
        """The result of a pass that begins after this call; None if a pass has read this ``version`` already."""
        # Futures of asyncio belong to one loop: that of the queue cannot be awaited in the loop of kopf.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._submit(key, version), self._main))

    async def _submit(self, key: Key, version: Version | None) -> Result | None:
        return None if version and self._has_read(key, version) else await self._reconcile(key)
