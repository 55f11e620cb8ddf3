"""Copies of the database, for backups and restores: the current objects of one moment, without their history. Blocking.

A copy can be taken while the controller runs: in WAL mode readers and writers do not block each other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller import files
from controller.apiserver.storage import database, schema

# Of both formats: a backup before an upgrade must be readable by the version that wrote the file.
_DEFINITIONS = """
SELECT sql FROM old.sqlite_master
WHERE tbl_name IN ('revisions', 'compaction', 'facts') AND type IN ('table', 'index') AND sql IS NOT NULL
ORDER BY type DESC
"""
_CURRENT = """
INSERT INTO main.revisions SELECT * FROM old.revisions
WHERE NOT deleted AND id IN (SELECT max(id) FROM old.revisions GROUP BY resource, namespace, name) ORDER BY id
"""
# What is left out counts as compacted, and its revisions as used.
_FLOOR = """
INSERT INTO main.compaction
SELECT max(floor, (SELECT coalesce(max(id), 0) FROM old.revisions)) FROM old.compaction
"""


def copy(source: Path, target: Path, written: Mapping[str, str] | None = None) -> None:
    """Write a consistent copy atomically and mark it as a backup; ``written`` are facts for the copy only.

    Raises sqlite3.Error and OSError.
    """
    # A dot and a suffix: a copy that a power cut leaves behind is never taken for a backup, and ``sweep`` finds it.
    partial = target.with_name(f".{target.name.lstrip('.')}.partial")
    try:
        with database.keep_wal(source), filling(partial, source) as connection:
            _copy(connection)
            # Before the rename: a copy under its final name without the mark would repeat revisions that clients know.
            connection.execute(f"PRAGMA main.user_version = {database.BACKUP_MARK}")
            if written:
                database.write_facts(connection, written)
        files.rename_durably(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def filling(fresh: Path, source: Path, page_size: int = 0) -> Iterator[sqlite3.Connection]:
    """Open a new file to fill from the source, attached as ``old``; ``page_size`` is by default the source's."""
    fresh.unlink(missing_ok=True)
    # SQLite accepts an existing file if it is empty; it would create one with the mode of the umask.
    files.make_private(fresh)
    with database.connected(fresh) as connection:
        # A copy that a power cut interrupts is removed, so it needs no journal beside it.
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("ATTACH ? AS old", (f"{source.absolute().as_uri()}?mode=ro",))
        for part in ("main", "old"):
            connection.execute(f"PRAGMA {part}.cache_size={schema.CACHE}")
        connection.execute("PRAGMA temp_store=MEMORY")  # /tmp may be on the same disk
        (known,) = connection.execute("PRAGMA old.page_size").fetchone()
        schema.lay_out(connection, page_size or known)
        yield connection


def _copy(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")  # one snapshot, while writers go on; copying the file would miss what is in the log
    for (definition,) in connection.execute(_DEFINITIONS).fetchall():
        connection.execute(definition)
    connection.execute(_CURRENT)
    connection.execute(_FLOOR)
    tables = {name for (name,) in connection.execute("SELECT name FROM old.sqlite_master")}
    if "sqlite_sequence" in tables:
        connection.execute("DELETE FROM main.sqlite_sequence")  # of the newest row that was copied
        connection.execute("INSERT INTO main.sqlite_sequence SELECT * FROM old.sqlite_sequence")
    if "facts" in tables:
        connection.execute("INSERT INTO main.facts SELECT * FROM old.facts")
    connection.execute("COMMIT")
