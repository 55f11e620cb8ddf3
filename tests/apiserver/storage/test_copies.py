"""A copy holds the current objects of one moment, but no history: no client of a restored backup may read it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from controller import __version__
from controller.apiserver.storage import copies, database, recovery
from controller.apiserver.storage.backups import Backups
from tests.apiserver.storage.test_conversion import FLOOR, HISTORY, NEWEST, format_1

CURRENT = [(3, "other"), (6, "one")]


@pytest.fixture(params=[1, database.FORMAT], ids="format {}".format)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A database with a history; its newest revision is a deletion."""
    path = tmp_path / "api" / "objects.db"
    format_1(path, HISTORY, FLOOR)
    if request.param != 1:
        recovery.prepare(path, Backups(tmp_path / "backups", lambda: 0.0), __version__)
    return path


def rows(path: Path, query: str) -> list[Any]:
    """What the query finds in the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_copy_holds_the_current_objects_and_the_facts_in_the_format_of_the_database(path: Path) -> None:
    copy = path.with_name("copy.db")
    copies.copy(path, copy)
    assert rows(copy, "SELECT id, name FROM revisions ORDER BY id") == CURRENT
    assert rows(copy, "SELECT object FROM revisions WHERE id = 6") == rows(
        path, "SELECT object FROM revisions WHERE id = 6"
    )
    assert database.facts(copy) == database.facts(path)
    for query in ("PRAGMA page_size", "PRAGMA auto_vacuum", "SELECT type, name, sql FROM sqlite_master ORDER BY name"):
        assert rows(copy, query) == rows(path, query)


def test_what_a_copy_leaves_out_counts_as_compacted_and_used(path: Path) -> None:
    copy = path.with_name("copy.db")
    copies.copy(path, copy)
    assert database.summary(copy) == database.summary(path) == database.Summary(NEWEST, len(CURRENT), None)
    assert rows(copy, "SELECT floor FROM compaction") == [(NEWEST,)]
    if rows(copy, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):  # counts the revisions of format 1
        assert rows(copy, "SELECT seq FROM sqlite_sequence") == [(NEWEST,)]


def test_a_copy_that_was_cut_off_is_not_written(path: Path) -> None:
    found = list(copies.statements(path))
    copy = path.with_name("copy.db")
    for number in (0, 1, len(found) // 2, len(found) - 1):
        with pytest.raises((OSError, sqlite3.Error)):
            copies.write(found[:number], copy)
    assert [file.name for file in path.parent.iterdir() if "copy" in file.name] == []


def test_a_copy_is_the_same_after_its_way_to_another_process(path: Path) -> None:
    found = list(copies.statements(path))
    lines = b"".join(copies.encode(found)).splitlines()
    assert [(sql, tuple(parameters)) for sql, parameters in copies.decode(lines)] == found
