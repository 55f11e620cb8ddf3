"""Space that the database keeps for itself, so that a full disk does not stop what must be written.

Free pages inside the file and a write-ahead log that keeps its length: both are on the disk already, so no other
program can use them up. See docs/decisions/131. Blocking.
"""

from __future__ import annotations

import sqlite3
from enum import IntEnum
from pathlib import Path

from controller import errors, names
from controller.disk import ENOUGH_BYTES, Disk

PAGE = 4096
PAGES = 1024  # kept free in the file
KEPT_PAGES = PAGES + PAGES // 4  # more than these are given back to the disk
LOG_FRAME = PAGE + 24
LOG_FRAMES = 500  # a checkpoint is made once the log has these
LOG_BYTES = (LOG_FRAMES + PAGES + 1) * LOG_FRAME  # the log is never shortened below this
TOUCH = "BEGIN; UPDATE compaction SET floor = floor + 1; UPDATE compaction SET floor = floor - 1; COMMIT"
STEP_PAGES = 64  # less is not worth a refill
ROW_PAGES = 4  # what a small row takes at most, with its place in the index


class Urgency(IntEnum):
    """What a write may use of the reserve while the disk is full."""

    ORDINARY = 0  # nothing: it is refused first
    NECESSARY = 1  # all but what deletions need
    DELETION = 2  # nearly all: deletions are how a person makes room


FLOORS = {Urgency.NECESSARY: PAGES // 4, Urgency.DELETION: PAGES // 16}  # pages that compaction needs, at least


class Reserve:
    """The reserve of one open database."""

    def __init__(self, connection: sqlite3.Connection, path: Path, disk: Disk) -> None:
        self._connection = connection
        self._log = path.with_name(f"{path.name}-wal")
        self._disk = disk
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_FRAMES}")
        connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        connection.execute("DROP TABLE IF EXISTS reserve")  # a refill was broken off

    def admit(self, size: int, urgency: Urgency) -> None:
        """Raise errors.DiskFullError when a row of that many bytes must not be written now."""
        if not self._disk.look():
            return
        if urgency is Urgency.ORDINARY or self.free() - size // PAGE - ROW_PAGES < FLOORS[urgency]:
            raise refusal(self._disk)

    def free(self) -> int:
        """Pages of the file that hold nothing."""
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages)

    def surplus(self) -> int:
        """Free pages that the disk may have back."""
        return max(0, self.free() - KEPT_PAGES)

    def refill(self) -> None:
        """Bring the reserve to its size, as far as the disk has room for it. Raises sqlite3.Error."""
        pages = self._affordable()
        log = self._log.stat().st_size
        if self._disk.look() or (self.free() >= pages - STEP_PAGES and log >= (pages - STEP_PAGES) * LOG_FRAME):
            return
        self._connection.execute("CREATE TABLE IF NOT EXISTS reserve (filler BLOB)")
        self._connection.execute("INSERT INTO reserve VALUES (zeroblob(?))", (pages * PAGE,))
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # puts the pages on the disk
        (secure,) = self._connection.execute("PRAGMA secure_delete").fetchone()
        self._connection.execute("PRAGMA secure_delete=OFF")  # zeros need no overwriting
        self._connection.execute("DROP TABLE reserve")
        self._connection.execute(f"PRAGMA secure_delete={secure}")

    def empty_log(self) -> None:
        """Have everything in the file itself, so that it is whole without its log. Raises sqlite3.Error."""
        (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if not busy:
            # A write begins the log anew in its place; one that changes nothing at all would not be made.
            self._connection.executescript(TOUCH)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _affordable(self) -> int:
        """The pages that the file can have free, with as many in the log, and the disk still has room afterwards."""
        spare = self._disk.room() - 2 * ENOUGH_BYTES
        return min(PAGES, max(0, spare) // (2 * PAGE) + self.free())


def refusal(disk: Disk) -> errors.DiskFullError:
    """The answer to a write that there is no room for."""
    return errors.DiskFullError(f"{names.DISK_FULL}: {disk.fault}", code=507, reason=names.DISK_FULL)
