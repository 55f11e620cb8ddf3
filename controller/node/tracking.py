"""Tells the metrics sampler which containers run, whenever the backend says that something changed."""

from __future__ import annotations

import asyncio

from controller import errors
from controller.backends.base import Backend
from controller.metrics.sampler import Sampler
from controller.node.local import device_key

SETTLE_SECONDS = 0.5  # a start makes several changes


class Tracking:
    """One loop between backend and sampler."""

    def __init__(self, backend: Backend, sampler: Sampler) -> None:
        self._backend = backend
        self._sampler = sampler

    async def run(self) -> None:
        """Follow the backend, for ever."""
        changed = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(changed))
            tasks.create_task(self._update(changed))

    async def _follow(self, changed: asyncio.Event) -> None:
        async for _ in self._backend.changes():
            changed.set()

    async def _update(self, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            changed.clear()
            await self._look()

    async def _look(self) -> None:
        try:
            running = await self._backend.running()
        except errors.ReconcileError:
            return  # the engine went away; the backend tells when it is back
        self._sampler.set_containers(
            {
                device_key(container.identity.namespace, container.identity.device_id): container.pid
                for container in running
            }
        )
