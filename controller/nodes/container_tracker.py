"""Keeps the metrics sampler up to date on which containers run, on every change that a source reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from controller import errors
from controller.backends.base import Contact, Identity, RunningContainer
from controller.machinery.controller import Controller
from controller.metrics.sampler import Sampler
from controller.nodes.local_node import device_key

# A start causes several changes in a row. To list all containers in its middle would delay it.
SETTLE_SECONDS = 0.5


class Source(Protocol):
    """Knows the containers that run here: a backend, or the pods of this node."""

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Yield every change; never ends."""

    async def running(self) -> list[RunningContainer]:
        """The running containers. Raises errors.ReconcileError while they are unknown."""


class ContainerTracker:
    """One loop between the sources and the sampler; use ``watched`` for a source that something else consumes."""

    def __init__(self, sources: Sequence[Source], sampler: Sampler) -> None:
        self._sources = sources
        self._sampler = sampler
        self._running: dict[Source, list[RunningContainer]] = {}
        self._settling = False
        self.controller = Controller("find the running containers", self._update)

    async def watched(self, source: Source) -> AsyncIterator[Identity | Contact]:
        """Pass on the changes of a source and note each of them."""
        async for change in source.changes():
            self._note_change()
            yield change

    async def follow(self, source: Source) -> None:
        """Note the changes of a source that nothing else consumes, until cancelled."""
        async for _ in source.changes():
            self._note_change()

    def _note_change(self) -> None:
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._look)

    def _look(self) -> None:
        self._settling = False
        self.controller.trigger()

    async def _update(self) -> None:
        for source in self._sources:
            # While it is away, keep its last answer until it reports a change.
            with contextlib.suppress(errors.ReconcileError):
                self._running[source] = await source.running()
        found = (container for running in self._running.values() for container in running)
        self._sampler.set_containers({device_key(*each.identity[1:]): each.pid for each in found})
