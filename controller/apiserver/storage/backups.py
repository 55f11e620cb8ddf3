"""Backups of the store: one per day and one before each upgrade, of which the newest are kept. Blocking.

Ordered by number, not by date: on a host that starts without a valid clock, the newest backup may have the oldest date.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from controller.apiserver.storage import copies, database, sqlite_errors
from controller.apiserver.storage.database import Summary

logger = logging.getLogger(__name__)

KEPT = 7  # daily backups, and as many of those that hold data which the database has lost
KEPT_UPGRADES = 2
BEFORE = "before-"  # prefix of the note of a backup taken before an upgrade
DAY = 24 * 3600.0
# The name carries number, time and note, so that listing them opens no file.
NAME = re.compile(r"objects-(\d{6})-(\d{8}T\d{6}Z)(?:-(.*))?\.db")
TIME_FORM = "%Y%m%dT%H%M%SZ"


class Backup(NamedTuple):
    """One backup file; ``taken`` is the clock of that time, in seconds since 1970."""

    number: int
    taken: float
    path: Path
    note: str


class Backups:
    """The backups in one folder, which the first backup creates."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock

    def all(self) -> list[Backup]:
        """All backups, newest first."""
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted((backup for path in names if (backup := _read(path))), reverse=True)

    def take(self, source: Path, note: str = "", copy: Callable[[Path, Path], None] = copies.copy) -> Path:
        """Take a backup and delete surplus ones. Returns its path. Raises sqlite3.Error and OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self.all()
        # One more than the newest, not the count: surplus backups are deleted, and a number must not be used twice.
        number = known[0].number + 1 if known else 1
        when = datetime.fromtimestamp(self._clock(), UTC).strftime(TIME_FORM)
        target = self._folder / f"objects-{number:06}-{when}{'-' if note else ''}{note}.db"
        # Copy first and delete afterwards: on a full disk the copy fails, and the older backups are still there.
        copy(source, target)
        self._rotate()
        return target

    def _rotate(self) -> None:
        """Delete surplus backups; on a failure they stay until the next backup, because this one was taken."""
        try:
            for old in _surplus(self.all()):
                old.path.unlink(missing_ok=True)
        except (sqlite3.Error, OSError) as error:
            logger.warning("Cannot delete surplus backups in %s: %s", self._folder, error)

    def sweep(self) -> None:
        """Remove partial files that a power cut left behind."""
        for partial in self._folder.glob(".*.partial*"):
            partial.unlink(missing_ok=True)

    def due_in(self) -> float:
        """Seconds until the next backup is due, by the wall clock; 0 without a backup."""
        known = self.all()
        # abs(): a backup taken while the clock was years ahead would otherwise postpone the next one by years.
        return DAY - abs(self._clock() - known[0].taken) if known else 0.0

    def newest_sound(self) -> Path | None:
        """The newest backup that can be restored; one of a later format only if there is no other.

        Raises sqlite3.Error if one cannot be read at present.
        """
        later: list[Path] = []
        for path in (backup.path for backup in self.all() if database.is_sound(backup.path)):
            # After a downgrade, these are newer than the one that was taken before the upgrade.
            if not database.is_of_later_format(path):
                return path
            later.append(path)
        return next(iter(later), None)

    def newest_is(self, source: Path, note: str) -> bool:
        """Whether the newest backup has this note and holds what the source holds. Raises sqlite3.Error."""
        newest = next(iter(self.all()), None)
        if newest is None or newest.note != note or not database.is_sound(newest.path):
            return False
        return database.summary(newest.path) == database.summary(source)


def _surplus(known: list[Backup]) -> Iterator[Backup]:
    """The backups to delete: all but the newest of each category, counted separately.

    Raises sqlite3.Error if the newest one cannot be read: the others are compared with it.
    """
    upgrades = [backup for backup in known if backup.note.startswith(BEFORE)]
    daily_timer = [backup for backup in known if backup not in upgrades]
    yield from upgrades[KEPT_UPGRADES:]
    current = database.summary(known[0].path)
    # A database that came back empty would otherwise push out every backup with the lost objects within a week.
    richer: list[Backup] = []
    rest: list[Backup] = []
    for backup in daily_timer:
        try:
            (richer if _holds_more(_summary(backup), current) else rest).append(backup)
        except sqlite3.Error as error:  # kept: it may be one with lost data
            logger.warning("Cannot read the backup %s: %s", backup.path, error)
    yield from richer[KEPT:]
    yield from rest[KEPT:]


def _holds_more(old: Summary | None, current: Summary) -> bool:
    """Whether the backup is of another database, of a later revision, or has more than twice the objects."""
    if old is None:
        return False
    return old.origin != current.origin or old.revision > current.revision or old.objects > 2 * current.objects


def _summary(backup: Backup) -> Summary | None:
    """None if it is damaged: it rotates with the others, and a restore skips it. Raises sqlite3.Error otherwise."""
    try:
        return None if database.is_blank(backup.path) else database.summary(backup.path)
    except sqlite3.Error as error:
        # A lock or an I/O error says nothing about the content (decision 130).
        if not sqlite_errors.is_damage(error):
            raise
        return None


def _read(path: Path) -> Backup | None:
    found = NAME.fullmatch(path.name)
    if not found:
        return None
    taken = datetime.strptime(found[2], TIME_FORM).replace(tzinfo=UTC)
    return Backup(int(found[1]), taken.timestamp(), path, found[3] or "")
