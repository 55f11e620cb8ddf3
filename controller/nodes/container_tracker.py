"""Tells the metrics sampler which containers run, whenever whoever runs them says that something changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from controller import errors
from controller.backends.base import Contact, Identity, RunningContainer
from controller.metrics.sampler import Sampler
from controller.nodes.local_node import device_key

SETTLE_SECONDS = 0.5  # a start makes several changes


class Source(Protocol):
    """Knows containers that run here: a backend, or the pods of this node."""

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """What changed, for ever."""

    async def running(self) -> list[RunningContainer]:
        """What runs. Raises errors.ReconcileError while that cannot be told."""


class ContainerTracker:
    """One loop between the sources and the sampler; ``watched`` lets it see what somebody else follows."""

    def __init__(self, sources: Sequence[Source], sampler: Sampler) -> None:
        self._sources = sources
        self._sampler = sampler
        self._changed = asyncio.Event()
        self._running: dict[Source, list[RunningContainer]] = {}

    async def watched(self, source: Source) -> AsyncIterator[Identity | Contact]:
        """A source's changes, noted on their way."""
        async for change in source.changes():
            self._changed.set()
            yield change

    async def follow(self, source: Source) -> None:
        """Note the changes of a source that nobody else follows, for ever."""
        async for _ in source.changes():
            self._changed.set()

    async def run(self) -> None:
        """Look at the containers after every change, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            await self._look()

    async def _look(self) -> None:
        for source in self._sources:
            with contextlib.suppress(errors.ReconcileError):  # it tells when it is back; until then, what it said last
                self._running[source] = await source.running()
        found = (container for running in self._running.values() for container in running)
        self._sampler.set_containers({device_key(*each.identity[1:]): each.pid for each in found})
