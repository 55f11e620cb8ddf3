"""The rows of the store: one SQLite file, one row per revision. Blocking: runs in the store's own thread.

WAL with ``synchronous=FULL``: when a call returns, the row is on disk. Compaction removes rows that a newer row of the
same object replaced, up to a floor; a client that needs changes from before the floor must list again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from controller import files
from controller.apiserver.storage import database, schema, sqlite_errors
from controller.apiserver.storage.reserve import Reserve, Urgency
from controller.disk import Disk

BATCH = 200  # rows per compaction step, so that no write waits long
BUSY_MILLISECONDS = 5000  # how long a write waits for a lock of another process
FREED_PAGES = (4 << 20) // schema.PAGE  # returned to the disk per step
RESTORE_JUMP = 1_000_000  # revisions skipped by a restored backup, so that none seen by a client is reused
# Per batch of changes: the whole history may be a hundred times as large, and any client that may watch can request it.
CHARACTERS = 128 << 10


class Key(NamedTuple):
    """The key of an object: ``plural.group``, namespace ("" for cluster scope), name."""

    resource: str
    namespace: str
    name: str

    @property
    def place(self) -> tuple[str, str]:
        """Where it is among the objects of the resource."""
        return self.namespace, self.name


class Row(NamedTuple):
    """One revision; ``previous`` is the one that it replaced, and ``before`` that one's JSON, if requested."""

    revision: int
    key: Key
    deleted: bool
    text: str
    before: str | None = None
    previous: int | None = None


class Rows:
    """One open file. Raises errors.DiskFullError and sqlite3.DatabaseError, the latter also for a damaged file."""

    def __init__(self, path: Path, disk: Disk) -> None:
        # Before SQLite creates the file: it holds Secrets, and -wal takes its mode from it.
        files.make_private(path)
        # Autocommit: the sqlite3 module's implicit transactions would delay the commit past the return of a write.
        self._connection = database.connect(path)
        schema.lay_out(self._connection)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL would sync the log at checkpoints only: a power cut could lose writes that were already answered.
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA temp_store=MEMORY")  # /tmp may be on the same disk
        self._connection.execute(f"PRAGMA cache_size={schema.CACHE}")
        self._connection.executescript(schema.TABLES)
        self.reserve = Reserve(self._connection, path, disk)
        # Closed last, so that a stop leaves the log for the next start.
        self._log_keeper = database.LogKeeper(path)
        self._log_keeper.begin(self._connection)
        # The index of the log of version 0.1. No other process can use it beside our lock.
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        if self._number("PRAGMA user_version") == database.BACKUP_MARK:
            self._skip_revisions()
        # Shorter than at the start: now a client waits for the answer, and all other writes behind it.
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        self.floor = self._number("SELECT floor FROM compaction")
        self.last = self._number(schema.LAST)

    def close(self) -> None:
        """Close the file; keeps its log for the next start, which may find a full disk."""
        with contextlib.suppress(sqlite3.Error):  # the next connection replays the log
            self.reserve.empty_log()
        self._connection.close()
        # After the writing connection: the last one to close deletes the log unless it is read-only.
        self._log_keeper.close()

    def admit(self, rows: Sequence[Row], urgency: Urgency) -> None:
        """Raise errors.DiskFullError if the disk is too full for the last of these rows, after the others."""
        # Before SQLite tries: an ordinary write would succeed at first, in the pages that deletions need later.
        self.reserve.admit((len(row.text.encode()) for row in rows), urgency)

    def insert(self, rows: Sequence[Row]) -> None:
        """Write revisions, all or none; durable when this returns."""
        try:
            self._insert(rows)
        except sqlite3.OperationalError as error:
            # With a quota, SQLite reports an I/O error instead of a full disk.
            if not (sqlite_errors.is_full(error) or sqlite_errors.may_be_space(error)):
                raise
            # Restart the log from its beginning: that space is allocated already.
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
            self._insert(rows)

    def _insert(self, rows: Sequence[Row]) -> None:
        with self._transaction():
            self._connection.executemany(
                schema.INSERT, [(row.revision, row.previous, row.deleted, *row.key, row.text) for row in rows]
            )

    def as_of(self, revision: int, resource: str = "", namespace: str = "") -> list[Row]:
        """The objects that existed at a revision, in order; "" means all resources or namespaces."""
        parameters = {"revision": revision, "resource": resource, "namespace": namespace}
        return list(_rows(self._connection.execute(schema.AS_OF, parameters)))

    def changes(self, since: int, until: int, resource: str) -> list[Row]:
        """The next batch of changes of a resource after ``since``, up to ``until`` inclusive; empty at the end."""
        parameters = {"since": since, "until": until, "resource": resource}
        found: list[Row] = []
        left = CHARACTERS
        # Closed at the break: an open statement keeps its snapshot, and checkpoints could not restart the log.
        with contextlib.closing(self._connection.execute(schema.CHANGES, parameters)) as cursor:
            for row in _rows(cursor):
                found.append(row)
                left -= len(row.text) + len(row.before or "")
                if left <= 0:
                    break
        return found

    def compact(self, floor: int) -> bool:
        """Run one step of compaction; return whether more remains. Stores the floor before it deletes any row."""
        with self._transaction():
            # The floor comes first, in the same transaction: a watch must never read a history with rows missing.
            self._connection.execute("UPDATE compaction SET floor = ?", (floor,))
            self.floor = floor
            gone = self._connection.execute(schema.COMPACT, {"floor": floor, "batch": BATCH}).rowcount
        if gone < BATCH and (surplus := self.reserve.surplus()):
            # As a script, since execute() would step the statement once and so free one page only.
            self._connection.executescript(f"PRAGMA incremental_vacuum({min(surplus, FREED_PAGES)})")
        return gone == BATCH

    def _skip_revisions(self) -> None:
        # One transaction with the mark: cleared without the jump, revisions that clients have seen would be used again.
        with self._transaction():
            self._connection.execute("UPDATE compaction SET floor = ?", (self._number(schema.LAST) + RESTORE_JUMP,))
            self._connection.execute("PRAGMA user_version = 0")

    def _transaction(self) -> sqlite3.Connection:
        # IMMEDIATE waits here for the lock of another process; a transaction that
        # has read already cannot (SQLITE_BUSY_SNAPSHOT).
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def _number(self, query: str) -> int:
        (found,) = self._connection.execute(query).fetchone()
        return int(found)


def _rows(cursor: sqlite3.Cursor) -> Iterator[Row]:
    for revision, resource, namespace, name, deleted, *texts in cursor:
        yield Row(revision, Key(resource, namespace, name), bool(deleted), *texts)
