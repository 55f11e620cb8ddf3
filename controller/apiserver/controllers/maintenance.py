"""Periodic maintenance of the API server: expiry, compaction, certificates, the daily backup."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from controller import boottime, files
from controller.apiserver import failures
from controller.apiserver.access.pki import Pki
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs
from controller.boottime import ClockStepDetector

logger = logging.getLogger(__name__)

SECONDS = 60
LOOK_SECONDS = 5


class _LastWrite(NamedTuple):
    """The last write of an object and when a sweep first saw it."""

    version: str
    at: float


class Expiry:
    """Deletes objects some time after their last write: Events, and Leases that are no longer renewed.

    Measures from when a sweep first saw the write, by the monotonic clock ``elapsed``: the timestamps in objects come
    from clocks that jump. A restart of the server restarts the time of each object. Sweep regularly.
    """

    def __init__(self, store: Store, elapsed: Callable[[], float]) -> None:
        self._store = store
        self._elapsed = elapsed
        self._last_writes: dict[Key, _LastWrite] = {}

    async def sweep(self) -> None:
        """Record writes since the last sweep and delete expired objects."""
        verbs, before, self._last_writes = Verbs(self._store), self._last_writes, {}
        for resource in (kind for kind in CORE if kind.expires and not kind.storage):
            for ref, last_write in self._last_seen(resource, before):
                if self._elapsed() - last_write.at <= resource.expires:
                    self._last_writes[ref.key] = last_write
                    continue
                with contextlib.suppress(failures.NotFound):
                    await verbs.delete(ref, Deletion(), WriteOptions())

    def _last_seen(self, resource: Resource, before: dict[Key, _LastWrite]) -> list[tuple[ResourceRef, _LastWrite]]:
        found = []
        for item in self._store.select(resource.key, ""):
            metadata = item["metadata"]
            ref = ResourceRef(resource, metadata["namespace"], metadata["name"])
            last_write = _LastWrite(metadata["resourceVersion"], self._elapsed())
            known = before.get(ref.key)
            found.append((ref, known if known and known.version == last_write.version else last_write))
        return found


class Maintenance:
    """``renewed`` is called in the event loop after certificates were renewed; ``back_up`` blocks.

    ``clock`` is the wall clock, used for certificates; ``elapsed`` is monotonic.
    """

    def __init__(
        self,
        store: Store,
        pki: Pki,
        clock: Callable[[], float],
        renewed: Callable[[], Awaitable[None]],
        back_up: Callable[[], None],
        elapsed: Callable[[], float] = boottime.now,
    ) -> None:
        self._store = store
        self._back_up = back_up
        self._pki = pki
        self._clock = clock
        self._renewed = renewed
        self._expiry = Expiry(store, elapsed)
        self._clock_steps = ClockStepDetector(clock, elapsed)
        self._elapsed = elapsed
        self._due = elapsed() + SECONDS
        self.controller = control_loop("maintain the API", self._look, period=LOOK_SECONDS)

    async def _look(self) -> None:
        """Run a round every minute, and early if the clock was set, since certificates may have expired."""
        if self._clock_steps.detect() or self._elapsed() >= self._due:
            self._due = self._elapsed() + SECONDS
            await self.once()

    async def _renew(self) -> None:
        """Renew certificates; a disk error must not stop the rest of the round."""
        try:
            if await asyncio.to_thread(self._pki.ensure, self._clock()):
                await self._renewed()
        except OSError as error:
            logger.warning("Cannot renew certificates: %s; %s", error, files.remedy(error))

    async def once(self) -> None:
        """Run one round."""
        await self._renew()
        await self._expiry.sweep()
        await self._store.compact()
        await asyncio.to_thread(self._back_up)
