"""The store's file as a whole: whether it is sound, what it says of itself, and copies of it. Blocking.

A copy can be taken beside a running controller: readers of a WAL file wait for nobody and nobody waits for them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller import files

FORMAT = 1  # of the tables; a program refuses a file of a later one
BACKUP_MARK = 1  # user_version of a file that is a backup
FACTS = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
SIDE_FILES = ("-wal", "-shm")


def fault(path: Path) -> str:
    """What is wrong with the file, "" when it is sound (SQLite: PRAGMA integrity_check)."""
    try:
        with connected(path) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            connection.execute("SELECT count(*) FROM revisions").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if verdict == "ok" else str(verdict)


def facts(path: Path) -> dict[str, str]:
    """What the file says of the installation that wrote it; nothing for one of before there were facts."""
    with connected(path) as connection, contextlib.suppress(sqlite3.OperationalError):
        return dict(connection.execute("SELECT name, value FROM facts"))
    return {}


def keep_facts(path: Path, told: Mapping[str, str]) -> None:
    """Write facts that are new or have changed."""
    with connected(path) as connection:
        connection.execute(FACTS)
        known = dict(connection.execute("SELECT name, value FROM facts"))
        for name, value in told.items():
            if known.get(name) != value:
                connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def copy(source: Path, target: Path) -> None:
    """Write a sound copy, marked as a backup, whole or not at all. Raises sqlite3.Error and OSError."""
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with connected(source) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        put(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def put(fresh: Path, path: Path) -> None:
    """Put a finished file in the place of the database, where there is none; marked, so that revisions jump ahead."""
    fresh.chmod(0o600)
    with connected(fresh) as connection:
        connection.execute(f"PRAGMA user_version = {BACKUP_MARK}")
    files.sync(fresh)
    fresh.replace(path)
    files.sync(path.parent)


def free_name(path: Path, why: str) -> str:
    """A name beside the file that nothing has yet."""
    names = (f"{path.name}.{why}-{number}" for number in range(1, 1_000_000))
    return next(name for name in names if not path.with_name(name).exists())


def set_aside(path: Path, name: str) -> Path:
    """Rename the file, and what SQLite keeps beside it, to another name in the same folder."""
    aside = path.with_name(name)
    for suffix in ("", *SIDE_FILES):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


@contextlib.contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for a moment; each statement is a transaction. A missing file is not made."""
    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
