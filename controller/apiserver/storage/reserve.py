"""Disk space that the database reserves, so that necessary writes succeed on a full disk.

The reserve is free pages inside the file plus a write-ahead log that keeps its length: both are allocated already, so
no other program can use them up. See docs/decisions/131. Blocking.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from controller import errors, names
from controller.apiserver.storage.schema import OVERFLOW, PAGE
from controller.disk import ENOUGH_BYTES, Disk

BYTES = 4 << 20  # free pages reserved in the file
PAGES = BYTES // PAGE
# SQLite fills free pages before it grows the file, so a refill writes all of them, twice. It therefore begins late and
# adds enough for many writes, and what a compaction frees for the writes until the next one stays.
LEAST_PAGES = PAGES - PAGES // 4  # free pages below which the reserve is refilled
FILLED_PAGES = PAGES + PAGES // 2  # free pages after a refill
KEPT_PAGES = 2 * PAGES  # free pages beyond this are returned to the disk
STEP_PAGES = PAGES // 16  # refilling less is not worth it, when the disk has no space for more
# A frame is a page with a header of 24 bytes (SQLite: fileformat2.html, 4.1).
LOG_FRAME = PAGE + 24
LOG_FRAMES = (2 << 20) // PAGE  # checkpoint once the log has this many
LOG_BYTES = (LOG_FRAMES + PAGES + 1) * LOG_FRAME  # the log is never truncated below this
TOUCH = "BEGIN; UPDATE compaction SET floor = floor + 1; UPDATE compaction SET floor = floor - 1; COMMIT"
ROW_PAGES = 8  # maximum for a small row: of the table, and of the map of pages


class Urgency(IntEnum):
    """How much of the reserve a write may use while the disk is full."""

    ORDINARY = 0  # nothing: the write is rejected
    NECESSARY = 1  # all but what deletions need
    DELETION = 2  # nearly all: deletions are how a person frees space


# Compaction itself writes: without free pages for it, a full database could never become smaller.
FLOORS = {Urgency.NECESSARY: PAGES // 4, Urgency.DELETION: PAGES // 16}  # pages to leave, at least for compaction


class Reserve:
    """The reserve of one open database."""

    def __init__(self, connection: sqlite3.Connection, path: Path, disk: Disk) -> None:
        self._connection = connection
        self._log = path.with_name(f"{path.name}-wal")
        self._disk = disk
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_FRAMES}")
        # A log that a large write has grown shrinks to this length, but no further: its length is half of the reserve.
        connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        connection.execute("DROP TABLE IF EXISTS reserve")  # left by an interrupted refill

    def admit(self, sizes: Iterable[int], urgency: Urgency) -> None:
        """Raise errors.DiskFullError if rows of these sizes in bytes must not be written at present."""
        # Checked for each write, as another program may have filled the disk since the last one; it is one statvfs.
        if not self._disk.check():
            return
        if urgency is Urgency.ORDINARY or self.free() - sum(map(_pages, sizes)) < FLOORS[urgency]:
            raise refusal(self._disk)

    def free(self) -> int:
        """Number of free pages in the file."""
        (pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages)

    def surplus(self) -> int:
        """Number of free pages that can be returned to the disk."""
        return max(0, self.free() - KEPT_PAGES)

    def refill(self) -> None:
        """Grow the reserve to its size, as far as the disk has space. Raises sqlite3.Error."""
        pages = self._affordable()
        least = min(LEAST_PAGES, pages - STEP_PAGES)
        # Both parts must be there: free pages in the file are of no use if the log cannot take the write first.
        if self._disk.check() or (self.free() >= least and self._log.stat().st_size >= least * LOG_FRAME):
            return
        # SQLite cannot be given free pages. A table that is filled and dropped leaves them behind.
        self._connection.execute("CREATE TABLE IF NOT EXISTS reserve (filler BLOB)")
        self._connection.execute("INSERT INTO reserve VALUES (zeroblob(?))", (pages * PAGE,))
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # allocates the pages on the disk
        self._drop()

    def _drop(self) -> None:
        (secure,) = self._connection.execute("PRAGMA secure_delete").fetchone()
        self._connection.execute("PRAGMA secure_delete=OFF")  # zeros need no overwriting
        try:
            self._connection.execute("DROP TABLE reserve")
        finally:  # also on a full disk: Secrets that are deleted later must be overwritten
            self._connection.execute(f"PRAGMA secure_delete={secure}")

    def empty_log(self) -> None:
        """Checkpoint all changes, so that the file is complete without its log. Raises sqlite3.Error."""
        # Not TRUNCATE: the log must keep its length for the next start, which may find a full disk.
        (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if not busy:
            # The next write restarts the log from its beginning. It must change something, or SQLite skips it.
            self._connection.executescript(TOUCH)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _affordable(self) -> int:
        """How many free pages fit, with as many in the log, such that the disk still has space afterwards."""
        # A reserve that fills the disk would itself cause the state that it is meant for.
        spare = self._disk.free_bytes() - 2 * ENOUGH_BYTES
        return min(FILLED_PAGES, max(0, spare) // (2 * PAGE) + self.free())


def _pages(size: int) -> int:
    """The most pages that a row of ``size`` bytes takes."""
    return size // OVERFLOW + ROW_PAGES


def refusal(disk: Disk) -> errors.DiskFullError:
    """The error for a write that does not fit on the full disk."""
    # No Retry-After: client-go would wait and retry by itself instead of showing the remedy.
    return errors.DiskFullError(f"{names.DISK_FULL}: {disk.fault}", code=507, reason=names.DISK_FULL)
