"""Copies of the database, for backups and restores: the current objects of one moment, without their history. Blocking.

A copy can be taken while the controller runs: in WAL mode readers and writers do not block each other. It is read as
statements that write it, so that they can be sent to another process, which has no access to the database.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from controller import files
from controller.apiserver.storage import database, schema

PIECE_BYTES = 64 << 10
MARK = f"PRAGMA user_version={database.BACKUP_MARK}"  # the last statement
# Of both formats: a backup before an upgrade must be readable by the version that wrote the file.
DEFINITIONS = """
SELECT sql FROM sqlite_master
WHERE tbl_name IN ('revisions', 'compaction', 'facts') AND type IN ('table', 'index') AND sql IS NOT NULL
ORDER BY type DESC
"""
# What is left out counts as compacted, and its revisions as used. Format 1 counts them in sqlite_sequence.
CONTENT = (
    (
        "revisions",
        "INSERT INTO revisions VALUES (?)",
        """SELECT * FROM revisions
        WHERE NOT deleted AND id IN (SELECT max(id) FROM revisions GROUP BY resource, namespace, name) ORDER BY id""",
    ),
    (
        "compaction",
        "INSERT INTO compaction VALUES (?)",
        "SELECT max(floor, (SELECT coalesce(max(id), 0) FROM revisions)) FROM compaction",
    ),
    ("sqlite_sequence", "DELETE FROM sqlite_sequence WHERE name = ?", "SELECT name FROM sqlite_sequence"),
    ("sqlite_sequence", "INSERT INTO sqlite_sequence VALUES (?)", "SELECT * FROM sqlite_sequence"),
    ("facts", "INSERT INTO facts VALUES (?)", "SELECT * FROM facts"),
)


class Statement(NamedTuple):
    """SQL and its parameters."""

    sql: str
    parameters: Sequence[str | int | None] = ()


def copy(source: Path, target: Path, written: Mapping[str, str] | None = None) -> None:
    """Write a consistent copy atomically and mark it as a backup; ``written`` are facts for the copy only.

    Raises sqlite3.Error and OSError.
    """
    with contextlib.closing(statements(source)) as found:
        write(found, target, written)


def statements(source: Path) -> Generator[Statement]:
    """The statements that write a copy. Raises sqlite3.Error."""
    with database.connected(source) as connection:
        connection.execute(f"PRAGMA cache_size={schema.CACHE}")
        connection.execute("PRAGMA temp_store=MEMORY")  # /tmp may be on the same disk
        connection.execute("BEGIN")  # one snapshot; copying the file would miss what is in the log
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        for pragma in ("page_size", "auto_vacuum"):
            (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
            yield Statement(f"PRAGMA {pragma}={value}")
        yield Statement("BEGIN")
        yield from (Statement(sql) for (sql,) in connection.execute(DEFINITIONS))
        for table, sql, query in CONTENT:
            if table in tables:
                yield from _rows(sql, connection.execute(query))
        yield Statement(MARK)


def write(found: Iterable[Statement], target: Path, written: Mapping[str, str] | None = None) -> None:
    """Write a copy as ``copy`` does. Raises sqlite3.Error and OSError, also if the last statement is missing."""
    # A dot and a suffix: a copy that a power cut leaves behind is never taken for a backup, and ``sweep`` finds it.
    partial = target.with_name(f".{target.name.lstrip('.')}.partial")
    try:
        with filling(partial) as connection:
            for statement in found:
                connection.execute(*statement)
            # Before the rename: a copy under its final name without the mark would repeat revisions that clients know.
            if connection.execute("PRAGMA user_version").fetchone() != (database.BACKUP_MARK,):
                raise OSError("the copy was cut off")
            connection.execute("COMMIT")
            if written:
                database.write_facts(connection, written)
        files.rename_durably(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def filling(fresh: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a new file. A power cut may leave a part of it."""
    fresh.unlink(missing_ok=True)
    # SQLite accepts an existing file if it is empty; it would create one with the mode of the umask.
    files.make_private(fresh)
    with contextlib.closing(database.connect(fresh)) as connection:
        # A copy that a power cut interrupts is removed, so it needs no journal beside it.
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute(f"PRAGMA cache_size={schema.CACHE}")
        yield connection


def encode(found: Iterable[Statement]) -> Generator[bytes]:
    """Pieces of lines, one for each statement."""
    piece = bytearray()
    for statement in found:
        piece += json.dumps(statement).encode() + b"\n"
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def decode(lines: Iterable[bytes]) -> Iterator[Statement]:
    """The statements of ``encode``."""
    return (Statement(*json.loads(line)) for line in lines)


def _rows(sql: str, rows: sqlite3.Cursor) -> Iterator[Statement]:
    """Statements for these rows; the columns depend on the format."""
    places = ", ".join("?" * len(rows.description))
    return (Statement(sql.replace("?", places), row) for row in rows)
