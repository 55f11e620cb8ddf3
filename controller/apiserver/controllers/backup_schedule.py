"""Take the daily backup if the disk has space for it; log a failure once. Blocking."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from controller.apiserver.controllers.daily_timer import DailyTimer
from controller.apiserver.storage import sqlite_errors
from controller.apiserver.storage.backups import Backups
from controller.disk import ENOUGH_BYTES, Disk

logger = logging.getLogger(__name__)


class BackupSchedule:
    """Takes the backups of one database."""

    def __init__(self, database: Path, backups: Backups, daily_timer: DailyTimer, disk: Disk) -> None:
        self._database = database
        self._backups = backups
        self._daily = daily_timer
        self._disk = disk
        self._failing = False

    def __call__(self) -> None:
        """Take a backup if it is due and does not fill the disk."""
        if not self._daily.is_due() or self._disk.look():
            return
        need = self._database.stat().st_size + 2 * ENOUGH_BYTES
        if self._disk.room() < need:
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
