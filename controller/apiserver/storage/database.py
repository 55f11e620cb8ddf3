"""The database file as a whole: integrity, facts about its installation, connections. Blocking."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from controller import files
from controller.apiserver.storage import sqlite_errors
from controller.disk import Disk

FORMAT = 2  # of the tables; a program rejects a file with a later format
FORMAT_FACT = "format"  # a fact of every database
BACKUP_MARK = 1  # user_version of a backup
FACTS = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
SIDE_FILES = ("-wal", "-shm")
NUMBERED = re.compile(r".*\.(?:damaged|replaced|lost)-(\d+)(?:-wal|-shm)?")  # names of ``free_name``, with side files
LOCK_SECONDS = 30.0  # how long to wait for a lock of another process
# Also of backups of format 1. The namespace "default" is created once per database, so its uid identifies the database
# and its copies.
SUMMARY = """
SELECT max((SELECT coalesce(max(id), 0) FROM revisions), (SELECT floor FROM compaction)),
  (SELECT count(*) FROM (SELECT deleted, max(id) FROM revisions GROUP BY resource, namespace, name) WHERE NOT deleted),
  (SELECT json_extract(object, '$.metadata.uid') FROM revisions
   WHERE resource = 'namespaces' AND name = 'default' ORDER BY id DESC LIMIT 1)
"""


class Summary(NamedTuple):
    """The newest revision, the number of objects, and the identity of the original database."""

    revision: int
    objects: int
    origin: str | None


@dataclass(frozen=True)
class DatabaseOptions:
    """Options of the database.

    ``facts`` are stored in it, for restoring a backup on another host. ``disk`` defaults to the disk of the database.
    ``subject`` refers to the object of Events about the database, by default the namespace. ``backup_required``: do not
    upgrade without a backup. ``witness`` is a file that exists after the first start: if it exists and the database
    does not, the database was lost.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    disk: Disk | None = None
    subject: Mapping[str, str] | None = None
    backup_required: bool = True
    witness: Path | None = None


DEFAULTS = DatabaseOptions()
"""Used by tests and tools without an installation."""


def fault(path: Path) -> str:
    """How the file is damaged; "" if it is sound. Raises sqlite3.Error if it cannot be checked at present."""
    try:
        # integrity_check(1) stops at the first fault: the verdict is enough, and a damaged file may have thousands.
        with connected(path) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        # A full disk, a lock or an I/O error says nothing about the content:
        # taken for damage, it would cost a sound file.
        if not sqlite_errors.is_damage(error):
            raise
        return str(error)
    return "" if verdict == "ok" else str(verdict)


def is_blank(path: Path) -> bool:
    """Whether the file lacks our tables: a power cut or a full disk interrupted its creation."""
    with connected(path) as connection:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'revisions'").fetchone()
    return found is None


def is_sound(path: Path) -> bool:
    """Whether it is a restorable database of ours. Raises sqlite3.Error if it cannot be checked at present."""
    return not fault(path) and not is_blank(path)


def is_of_later_format(path: Path) -> bool:
    """Whether a later version wrote the file, in a format that this one cannot read. Raises sqlite3.Error."""
    return int(facts(path).get(FORMAT_FACT, 1)) > FORMAT


def summary(path: Path) -> Summary:
    """Summarize a sound file. Raises sqlite3.Error."""
    with connected(path) as connection:
        return Summary(*connection.execute(SUMMARY).fetchone())


def facts(path: Path) -> dict[str, str]:
    """Facts about the installation that wrote the file; empty for files older than this table."""
    with connected(path) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
            return dict(connection.execute("SELECT name, value FROM facts"))
    return {}


def keep_facts(path: Path, written: Mapping[str, str]) -> None:
    """Write facts that are new or changed."""
    with connected(path) as connection:
        write_facts(connection, written)


def write_facts(connection: sqlite3.Connection, written: Mapping[str, str]) -> None:
    """Write facts that are new or changed. Raises sqlite3.Error."""
    connection.execute(FACTS)
    known = dict(connection.execute("SELECT name, value FROM facts"))
    for name, value in written.items():
        if known.get(name) != value:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def mark(path: Path) -> None:
    """Mark a backup, so that revisions jump ahead when it is opened: clients may have seen later ones than its own."""
    with connected(path) as connection:
        connection.execute(f"PRAGMA user_version={BACKUP_MARK}")


def free_name(path: Path, why: str) -> str:
    """A file name in the same folder with the next number: the file set aside last has the highest one."""
    # With suffixes: a log left by a file that a person removed would be replayed into the next one of its name.
    used = (NUMBERED.fullmatch(file.name) for file in path.parent.glob("*"))
    return f"{path.name}.{why}-{1 + max((int(found[1]) for found in used if found), default=0)}"


def set_aside(path: Path, name: str) -> Path:
    """Rename the file and SQLite's side files within the same folder; durable when this returns."""
    aside = path.with_name(name)
    # The database goes first. Without its log it would still open, as an older state, and the loss would go unnoticed.
    for suffix in ("", *SIDE_FILES):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    files.sync(path.parent)
    return aside


@contextlib.contextmanager
def connected(path: Path, seconds: float | None = None) -> Iterator[sqlite3.Connection]:
    """Open a connection in autocommit mode; closing it keeps the log. Does not create a missing file."""
    with contextlib.ExitStack() as stack:
        try:
            keeper = stack.enter_context(contextlib.closing(LogKeeper(path)))
            connection = stack.enter_context(contextlib.closing(connect(path, seconds=seconds)))
            keeper.begin(connection)
        except sqlite3.Error as error:
            if sqlite_errors.is_lock(error) or os.access(path, os.W_OK):
                raise
            # Of a read-only file, SQLite can neither take our lock nor make the index of the log in a file.
            connection = stack.enter_context(contextlib.closing(connect(path, mode="ro", vfs="unix-none")))
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # with that index in memory
        yield connection


def connect(
    path: Path, *, mode: str = "rw", seconds: float | None = None, vfs: str = "unix-excl"
) -> sqlite3.Connection:
    """A connection in autocommit mode. The last one to close deletes the log, unless its mode is ``ro``."""
    # The connections of one process share its lock of the file and the index of the log in its memory; with SQLite's
    # default, that index is a file beside the database, whose pages each write makes dirty (decision 003).
    # A URI, because a plain path always creates a missing file, which would then pass for a blank database.
    uri = f"{path.absolute().as_uri()}?mode={mode}&vfs={vfs}"
    timeout = LOCK_SECONDS if seconds is None else seconds
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout)


class LogKeeper:
    """Keeps the write-ahead log: the last connection to close deletes it, and a full disk has no space for a new one.

    A read-only connection that closes last leaves it in place (SQLite: walformat.html, 1.2). Open it before the other
    connection, and close it after that.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, mode="ro", seconds=0)

    def begin(self, connection: sqlite3.Connection) -> None:
        """Keep the log from now on. Raises sqlite3.Error if ``connection`` cannot read the file."""
        # In this order: the process's lock has to be taken by a connection that may write.
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        if journal == "wal":
            # SQLite opens the log with the first read only, and a connection without it keeps nothing.
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def is_in_use(path: Path) -> bool:
    """Whether another process uses the file. Raises sqlite3.Error."""
    try:
        with connected(path, seconds=0):
            return False
    except sqlite3.Error as error:
        if not sqlite_errors.is_lock(error):
            raise
    return True
