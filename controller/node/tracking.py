"""Tells the metrics sampler which containers run, whenever the backend says that something changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from controller import errors
from controller.backends.base import Backend, Contact, Identity
from controller.metrics.sampler import Sampler
from controller.node.local import device_key

SETTLE_SECONDS = 0.5  # a start makes several changes


class Tracking:
    """One loop between backend and sampler; ``watched`` lets it see what somebody else follows."""

    def __init__(self, backend: Backend, sampler: Sampler) -> None:
        self._backend = backend
        self._sampler = sampler
        self._changed = asyncio.Event()

    async def watched(self) -> AsyncIterator[Identity | Contact]:
        """The backend's changes, noted on their way."""
        async for change in self._backend.changes():
            self._changed.set()
            yield change

    async def run(self) -> None:
        """Look at the containers after every change, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            await self._look()

    async def _look(self) -> None:
        try:
            running = await self._backend.running()
        except errors.ReconcileError:
            return  # the engine went away; the backend tells when it is back
        self._sampler.set_containers({device_key(i.namespace, i.device_id): pid for i, pid in running})
