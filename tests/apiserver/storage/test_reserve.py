"""The reserve of the database: deleted rows are overwritten, also after a refill that failed."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from controller.apiserver.storage.reserve import Reserve
from controller.disk import Disk


class FullDisk(sqlite3.Connection):
    """A connection whose disk fills up before a table is dropped."""

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement == "DROP TABLE reserve":
            raise sqlite3.OperationalError("database or disk is full")
        return super().execute(statement, *arguments)


def test_deleted_rows_are_overwritten_after_a_refill_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, factory=FullDisk)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA secure_delete=ON")
        reserve = Reserve(connection, path, Disk(tmp_path))
        connection.execute("CREATE TABLE written (x)")
        with contextlib.suppress(sqlite3.OperationalError):
            reserve.refill()
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
