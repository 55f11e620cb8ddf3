"""Convert a database that an earlier version wrote, once at the start. Blocking.

The converted copy is complete and durable before it replaces the file, so a power cut leaves one or the other.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from controller import files
from controller.apiserver.storage import copies, database, schema

logger = logging.getLogger(__name__)

# Format 1 had an index of the keys instead of ``previous``, and counted revisions in sqlite_sequence.
_COPY = """
INSERT INTO main.revisions (id, previous, deleted, resource, namespace, name, object)
SELECT id, (SELECT CASE WHEN o.deleted THEN NULL ELSE o.id END FROM old.revisions o
    WHERE o.resource = r.resource AND o.namespace = r.namespace AND o.name = r.name AND o.id < r.id
    ORDER BY o.id DESC LIMIT 1), deleted, resource, namespace, name, object
FROM old.revisions r ORDER BY id
"""
_FLOOR = "UPDATE main.compaction SET floor = (SELECT floor FROM old.compaction)"


def convert(path: Path, facts: Mapping[str, str]) -> None:
    """Convert the file if it has an earlier format, and give it these facts.

    Raises sqlite3.Error and OSError, and then changes nothing.
    """
    if not is_due(path):
        return
    fresh = path.with_name(f".{path.name}.partial")
    try:
        _write(path, fresh, facts)
        _close_log(path)
        files.rename_durably(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    logger.info("Converted the database %s to format %d", path, database.FORMAT)


def is_due(path: Path) -> bool:
    """Whether the file has an earlier format."""
    # Not by the fact, which is written later: a power cut may come in between.
    with database.connected(path) as connection:
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(revisions)")}
    return bool(columns) and "previous" not in columns


def _write(path: Path, fresh: Path, facts: Mapping[str, str]) -> None:
    # The old file is opened for writing first: a read-only connection takes no lock of it for the process.
    with database.connected(path), copies.filling(fresh) as connection:
        schema.lay_out(connection)
        connection.executescript(f"{schema.TABLES}; {database.FACTS}")
        connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        connection.execute("ATTACH ? AS old", (f"{path.absolute().as_uri()}?mode=ro",))
        connection.executescript(f"BEGIN; {_COPY}; {_FLOOR}; COMMIT")
        (mark,) = connection.execute("PRAGMA old.user_version").fetchone()
        connection.execute(f"PRAGMA main.user_version={mark}")


def _close_log(path: Path) -> None:
    """Checkpoint and delete the log, which SQLite would apply to the converted file. Fails if another process reads."""
    with contextlib.closing(database.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
