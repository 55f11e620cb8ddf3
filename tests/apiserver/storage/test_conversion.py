"""A database of format 1 is converted at the start: objects, history and revisions are kept, also after a power cut."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from controller import __version__, errors
from controller.apiserver.storage import database, recovery
from controller.apiserver.storage.backups import Backups
from controller.apiserver.storage.schema import PAGE
from controller.apiserver.storage.store import Change, Store
from tests.apiserver.storage.test_store import put
from tests.support import power_cut

FORMAT_1 = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
CREATE TABLE revisions (id INTEGER PRIMARY KEY AUTOINCREMENT, resource TEXT NOT NULL, namespace TEXT NOT NULL,
    name TEXT NOT NULL, deleted INTEGER NOT NULL, object TEXT NOT NULL);
CREATE INDEX by_key ON revisions (resource, namespace, name, id);
CREATE TABLE compaction (floor INTEGER NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO facts VALUES ('install-id', 'plant-7');
"""
ROW = """
INSERT INTO revisions SELECT :id, 'things', 'edge', :name, :deleted, json_object('metadata',
    json_object('name', :name, 'namespace', 'edge', 'resourceVersion', CAST(:id AS TEXT)), 'value', :id)
"""
# One object that was changed, deleted and created again, beside another; the first revision is compacted.
HISTORY = [(2, "one", 0), (3, "other", 0), (4, "one", 0), (5, "one", 1), (6, "one", 0), (7, "gone", 0), (8, "gone", 1)]
FLOOR, NEWEST = 2, 8


def format_1(path: Path, rows: list[tuple[int, str, int]], floor: int) -> None:
    """Write a database as version 0.1 did; as after a power cut, its rows are still in the log."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(FORMAT_1)
    connection.execute("INSERT INTO compaction VALUES (?)", (floor,))
    connection.executemany(ROW, [{"id": number, "name": name, "deleted": gone} for number, name, gone in rows])
    keeper = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    keeper.execute("SELECT count(*) FROM revisions").fetchone()
    connection.close()
    keeper.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of format 1."""
    path = tmp_path / "api" / "objects.db"
    format_1(path, HISTORY, FLOOR)
    return path


def prepare(path: Path) -> str:
    """What a start does before it opens the database."""
    return recovery.prepare(path, Backups(path.parent.parent / "backups", lambda: 0.0), __version__)


async def started(path: Path) -> Store:
    """The store after a start."""
    await asyncio.to_thread(prepare, path)
    store = Store(path)
    await store.open()
    return store


def seen(change: Change) -> tuple[str, str, Any]:
    """A change with the value that it replaced."""
    return change.key.name, change.type, change.before and change.before["value"]


async def test_objects_history_and_facts_are_kept(path: Path) -> None:
    store = await started(path)
    assert [(item["metadata"]["name"], item["value"]) for item in store.select("things", "")] == [
        ("one", 6),
        ("other", 3),
    ]
    assert [seen(change) for change in await store.changes(FLOOR, NEWEST, "things") or []] == [
        ("other", "ADDED", None),
        ("one", "MODIFIED", 2),
        ("one", "DELETED", 4),
        ("one", "ADDED", None),
        ("gone", "ADDED", None),
        ("gone", "DELETED", 7),
    ]
    assert await store.changes(FLOOR - 1, NEWEST, "things") is None
    assert [item["value"] for item in await store.select_at(4, "things", "") or []] == [4, 3]
    await store.close()
    facts = await asyncio.to_thread(database.facts, path)
    assert (facts["install-id"], facts[database.FORMAT_FACT]) == ("plant-7", str(database.FORMAT))


async def test_a_backup_precedes_the_conversion_also_within_a_version(path: Path) -> None:
    await asyncio.to_thread(prepare, path)
    (backup,) = await asyncio.to_thread(Backups(path.parent.parent / "backups", lambda: 0.0).all)
    assert backup.note == f"before-{__version__}"
    assert (await asyncio.to_thread(database.summary, backup.path)).revision == NEWEST


async def test_no_revision_is_used_again(path: Path) -> None:
    store = await started(path)
    assert (await put(store, "two")).revision == NEWEST + 1
    await store.close()


async def test_no_revision_is_used_again_if_compaction_removed_the_newest_row(tmp_path: Path) -> None:
    path = tmp_path / "api" / "objects.db"
    await asyncio.to_thread(format_1, path, [(3, "other", 0)], NEWEST)
    store = await started(path)
    assert (await put(store, "two")).revision == NEWEST + 1
    await store.close()


async def test_the_converted_file_has_small_pages_and_is_not_converted_again(path: Path) -> None:
    await asyncio.to_thread(prepare, path)
    converted = path.stat().st_ino
    await asyncio.to_thread(prepare, path)
    assert path.stat().st_ino == converted
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (PAGE,)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_a_backup_of_format_1_is_restored_and_skips_revisions(path: Path) -> None:
    Backups(path.parent.parent / "backups", lambda: 0.0).take(path)
    path.unlink()
    assert "restored objects-000001" in prepare(path)
    revision = asyncio.run(_revision(path))
    assert revision > NEWEST


async def _revision(path: Path) -> int:
    store = Store(path)
    await store.open()
    await store.close()
    return store.revision


def test_a_power_cut_at_any_step_loses_nothing(path: Path) -> None:
    pristine = path.parent.with_name("pristine")
    shutil.copytree(path.parent, pristine)

    def reset() -> None:
        shutil.rmtree(path.parent)
        shutil.copytree(pristine, path.parent)

    cuts = 0
    for cuts in power_cut.at_every_step(reset, lambda: prepare(path)):
        assert prepare(path) == "", f"after step {cuts}"
        assert database.summary(path) == database.Summary(NEWEST, 2, None), f"after step {cuts}"
        assert not list(path.parent.glob(".*")), f"after step {cuts}"
    assert cuts > 10


def test_a_file_that_another_process_reads_is_not_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    before = path.stat().st_ino
    with database.connected(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM revisions").fetchone()
        with pytest.raises(errors.SettingError, match="another process has locked it"):
            prepare(path)
    assert path.stat().st_ino == before
    assert database.summary(path).revision == NEWEST
