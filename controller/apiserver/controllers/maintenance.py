"""Periodic maintenance of the API server: expiry, compaction, certificates, the daily backup."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from controller import RELEASED, boottime, files
from controller.apiserver import failures
from controller.apiserver.access.renewal import CertificateRenewal
from controller.apiserver.controllers.control_loop import EXPECTED, control_loop
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage import sqlite_errors
from controller.apiserver.storage.backups import DAY, Backups
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs
from controller.boottime import ClockStepDetector
from controller.disk import ENOUGH_BYTES, Disk

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
        verbs, now = Verbs(self._store), self._elapsed()
        resources = [kind for kind in CORE if kind.expires and not kind.storage]
        found = [known for resource in resources for known in self._last_seen(resource)]
        # Before the deletions: one that fails must not restart the time of the other objects.
        self._last_writes = {ref.key: last_write for ref, last_write in found}
        for ref, last_write in found:
            if now - last_write.at > ref.resource.expires:
                with contextlib.suppress(failures.NotFound):
                    await verbs.delete(ref, Deletion(), WriteOptions())

    def _last_seen(self, resource: Resource) -> list[tuple[ResourceRef, _LastWrite]]:
        found = []
        for item in self._store.select(resource.key, ""):
            metadata = item["metadata"]
            ref = ResourceRef(resource, metadata["namespace"], metadata["name"])
            last_write = _LastWrite(metadata["resourceVersion"], self._elapsed())
            known = self._last_writes.get(ref.key)
            found.append((ref, known if known and known.version == last_write.version else last_write))
        return found


class Maintenance:
    """``renewed`` is called in the event loop after certificates were renewed; ``back_up`` blocks.

    ``clock`` is the wall clock, used for certificates; ``elapsed`` is monotonic.
    """

    def __init__(
        self,
        store: Store,
        pki: CertificateRenewal,
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
        self._renewal_pending = False  # whether the last renewal, or what follows it, failed
        self._expiry = Expiry(store, elapsed)
        self._clock_steps = ClockStepDetector(clock, elapsed)
        self._elapsed = elapsed
        self._due = elapsed() + SECONDS
        self.controller = control_loop("maintain the API", self._look, period=LOOK_SECONDS)

    async def _look(self) -> None:
        """Run a round every minute, and early if the clock was set, since certificates may have expired."""
        if self._clock_steps.detect() or self._elapsed() >= self._due:
            # Before the round: one that fails must not be repeated every five seconds.
            self._due = self._elapsed() + SECONDS
            await self.once()

    async def _renew(self) -> None:
        """Renew certificates and put them to use; a failure must not stop the rest of the round."""
        pending, self._renewal_pending = self._renewal_pending, True
        try:
            if await asyncio.to_thread(self._pki.ensure, self._clock()) or pending:
                await self._renewed()
            # Else the next round repeats what failed, although then no certificate is due any longer.
            self._renewal_pending = False
        except EXPECTED as error:
            remedy = f"; {files.remedy(error)}" if isinstance(error, OSError) else ""
            logger.warning("Cannot renew certificates: %s%s", error, remedy)

    async def once(self) -> None:
        """Run one round."""
        await self._renew()
        await self._expiry.sweep()
        await self._store.compact()
        await asyncio.to_thread(self._back_up)


class DailyTimer:
    """A backup is due a day of elapsed time after the previous one, whatever happens to the wall clock.

    Only the age of the newest backup at the start comes from the wall clock, once that is plausible. ``clock`` is the
    wall clock; ``elapsed`` is monotonic; both in seconds.
    """

    def __init__(self, backups: Backups, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._backups = backups
        self._clock = clock
        self._elapsed = elapsed
        self._next = elapsed() + DAY
        self._is_known = False  # whether the age of the newest backup is known

    def is_due(self) -> bool:
        """Whether a backup is due. Reads a folder."""
        # With a clock in 1970 every boot would take a backup and push out a good one.
        if not self._is_known and (self._clock() >= RELEASED.timestamp() or not self._backups.all()):
            self._is_known = True
            self._next = self._elapsed() + self._backups.due_in()
        return self._elapsed() >= self._next

    def restart(self) -> None:
        """Start the next day: a backup was taken just now."""
        self._is_known, self._next = True, self._elapsed() + DAY


class BackupSchedule:
    """Takes the backups of one database; logs a failure once."""

    def __init__(self, database: Path, backups: Backups, daily_timer: DailyTimer, disk: Disk) -> None:
        self._database = database
        self._backups = backups
        self._daily = daily_timer
        self._disk = disk
        self._failing = False

    def __call__(self) -> None:
        """Take a backup if it is due and does not fill the disk."""
        if not self._daily.is_due() or self._disk.check():
            return
        need = self._database.stat().st_size + 2 * ENOUGH_BYTES
        if self._disk.free_bytes() < need:
            self._fail(f"it needs {need >> 20} MiB on the disk of {self._database}")
            return
        try:
            logger.info("Took the daily backup %s", self._backups.take(self._database))
            self._daily.restart()
            self._failing = False
        except (sqlite3.Error, OSError) as error:
            self._fail(f"{error}: {sqlite_errors.remedy(error)}")

    def _fail(self, why: str) -> None:
        logger.log(logging.DEBUG if self._failing else logging.WARNING, "Cannot take the daily backup: %s", why)
        self._failing = True
