"""The daily backup: when it is due, and taking it if the disk has space for it. Blocking."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from controller import RELEASED
from controller.apiserver.storage import sqlite_errors
from controller.apiserver.storage.backups import DAY, Backups
from controller.disk import ENOUGH_BYTES, Disk

logger = logging.getLogger(__name__)


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
