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
from controller.apiserver.storage import database, sqlite_errors
from controller.apiserver.storage.reserve import Reserve, Urgency
from controller.disk import Disk

BATCH = 200  # rows per compaction step, so that no write waits long
BUSY_MILLISECONDS = 5000  # how long a write waits for a lock of another process
FREED_PAGES = 1000  # returned to the disk per step
RESTORE_JUMP = 1_000_000  # revisions skipped by a restored backup, so that none seen by a client is reused

SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON revisions (resource, namespace, name, id);
CREATE TABLE IF NOT EXISTS compaction (floor INTEGER NOT NULL);
INSERT INTO compaction SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revisions'), 0)
    WHERE NOT EXISTS (SELECT 1 FROM compaction);
"""
INSERT = "INSERT INTO revisions (id, resource, namespace, name, deleted, object) VALUES (?, ?, ?, ?, ?, ?)"
# The subqueries below search the index by_key, so their cost does not grow with the history.
SAME_KEY = "o.resource = r.resource AND o.namespace = r.namespace AND o.name = r.name"
# The newest row of each object up to a revision.
AS_OF = f"""
SELECT id, resource, namespace, name, deleted, object FROM revisions r
WHERE NOT deleted AND id <= :revision AND (:resource = '' OR resource = :resource)
  AND (:namespace = '' OR namespace = :namespace)
  AND NOT EXISTS (SELECT 1 FROM revisions o WHERE {SAME_KEY} AND o.id > r.id AND o.id <= :revision)
ORDER BY resource, namespace, name
"""  # noqa: S608 - put together from constants
CHANGES = f"""
SELECT id, resource, namespace, name, deleted, object,
  (SELECT CASE WHEN o.deleted THEN NULL ELSE o.object END FROM revisions o
   WHERE {SAME_KEY} AND o.id < r.id ORDER BY o.id DESC LIMIT 1)
FROM revisions r WHERE id > :since AND id <= :until AND resource = :resource ORDER BY id
"""  # noqa: S608
COMPACT = f"""
DELETE FROM revisions WHERE id IN (
  SELECT id FROM revisions r WHERE id <= :floor AND (deleted OR EXISTS (
    SELECT 1 FROM revisions o WHERE {SAME_KEY} AND o.id > r.id AND o.id <= :floor))
  ORDER BY id LIMIT :batch)
"""  # noqa: S608


# Per batch of changes: the whole history may be a hundred times as large, and any client that may watch can request it.
CHARACTERS = 128 << 10


class Key(NamedTuple):
    """The key of an object: ``plural.group``, namespace ("" for cluster scope), name."""

    resource: str
    namespace: str
    name: str


class Row(NamedTuple):
    """One revision; ``before`` is the JSON of the object it replaced, if requested."""

    revision: int
    key: Key
    deleted: bool
    text: str
    before: str | None = None


class Rows:
    """One open file. Raises errors.DiskFullError and sqlite3.DatabaseError, the latter also for a damaged file."""

    def __init__(self, path: Path, disk: Disk) -> None:
        # Before SQLite creates the file: it holds Secrets, and -wal and -shm take their mode from it.
        files.make_private(path)
        # Autocommit: the sqlite3 module's implicit transactions would delay the commit past the return of a write.
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=database.LOCK_SECONDS)
        self._connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only affects a new file
        self._connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL would sync the log at checkpoints only: a power cut could lose writes that were already answered.
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA temp_store=MEMORY")  # /tmp may be on the same disk
        self._connection.executescript(SCHEMA)
        self.reserve = Reserve(self._connection, path, disk)
        # Opened after the tables exist and closed last, so that a stop leaves the log for the next start.
        self._wal_keeper = database.open_wal_keeper(path)
        if self._number("PRAGMA user_version") == database.BACKUP_MARK:
            self._skip_revisions()
        # Shorter than at the start: now a client waits for the answer, and all other writes behind it.
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        self.floor = int(self._number("SELECT floor FROM compaction"))
        self.last = int(self._number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'revisions'"))

    def close(self) -> None:
        """Close the file; keeps its log for the next start, which may find a full disk."""
        with contextlib.suppress(sqlite3.Error):  # the next connection replays the log
            self.reserve.empty_log()
        self._connection.close()
        # After the writing connection: the last one to close deletes the log unless it is read-only.
        self._wal_keeper.close()

    def admit(self, rows: Sequence[Row], urgency: Urgency) -> None:
        """Raise errors.DiskFullError if the disk is too full for the last of these rows, after the others."""
        # Before SQLite tries: an ordinary write would succeed at first, in the pages that deletions need later.
        self.reserve.admit(sum(len(row.text.encode()) for row in rows), urgency)

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
            self._connection.executemany(INSERT, [(row.revision, *row.key, row.deleted, row.text) for row in rows])

    def as_of(self, revision: int, resource: str = "", namespace: str = "") -> list[Row]:
        """The objects that existed at a revision, in order; "" means all resources or namespaces."""
        parameters = {"revision": revision, "resource": resource, "namespace": namespace}
        return list(_rows(self._connection.execute(AS_OF, parameters)))

    def changes(self, since: int, until: int, resource: str) -> list[Row]:
        """The next batch of changes of a resource after ``since``, up to ``until`` inclusive; empty at the end."""
        parameters = {"since": since, "until": until, "resource": resource}
        found: list[Row] = []
        left = CHARACTERS
        # Closed at the break: an open statement keeps its snapshot, and checkpoints could not restart the log.
        with contextlib.closing(self._connection.execute(CHANGES, parameters)) as cursor:
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
            gone = self._connection.execute(COMPACT, {"floor": floor, "batch": BATCH}).rowcount
        if gone < BATCH and (surplus := self.reserve.surplus()):
            # As a script, since execute() would step the statement once and so free one page only.
            self._connection.executescript(f"PRAGMA incremental_vacuum({min(surplus, FREED_PAGES)})")
        return gone == BATCH

    def _skip_revisions(self) -> None:
        # One transaction with the mark: cleared without the jump, revisions that clients have seen would be used again.
        with self._transaction():
            self._connection.execute(
                "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'revisions'", (RESTORE_JUMP,)
            )
            self._connection.execute(
                "UPDATE compaction SET floor = (SELECT max(seq) FROM sqlite_sequence WHERE name = 'revisions')"
            )
            self._connection.execute("PRAGMA user_version = 0")

    def _transaction(self) -> sqlite3.Connection:
        # IMMEDIATE waits here for the lock of another process; a transaction that
        # has read already cannot (SQLITE_BUSY_SNAPSHOT).
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def _number(self, query: str) -> int | str:
        (found,) = self._connection.execute(query).fetchone()
        return found  # type: ignore[no-any-return]


def _rows(cursor: sqlite3.Cursor) -> Iterator[Row]:
    for revision, resource, namespace, name, deleted, *texts in cursor:
        yield Row(revision, Key(resource, namespace, name), bool(deleted), *texts)
