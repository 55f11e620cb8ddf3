"""The reserve of the database: which rows it admits, and that deleted ones are overwritten after a failed refill."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.apiserver.storage import schema
from controller.apiserver.storage.reserve import FLOORS, ROW_PAGES, Reserve, Urgency
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


def test_each_row_of_a_commit_counts_with_all_pages_that_it_may_take(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.lay_out(connection)
        connection.execute("PRAGMA journal_mode=WAL")
        disk = Disk(tmp_path)
        reserve = Reserve(connection, path, disk)
        connection.execute("CREATE TABLE written (x)")
        reserve.refill()
        rows = (reserve.free() - FLOORS[Urgency.NECESSARY]) // ROW_PAGES
        disk.refused(OSError("full"))
        reserve.admit([1] * rows, Urgency.NECESSARY)
        with pytest.raises(errors.DiskFullError):
            reserve.admit([1] * (rows + 1), Urgency.NECESSARY)
