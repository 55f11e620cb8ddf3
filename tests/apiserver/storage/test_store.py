"""Guarantees of the store: durable before acknowledged, one total order, no gaps for watchers."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.apiserver.storage import copies, rows
from controller.apiserver.storage.store import SUBSCRIBER_LIMIT, Change, Key, Object, Store

# Writes objects as fast as possible and prints each name once its write is acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from controller.apiserver.storage.store import Key, Store
async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    number = 0
    while True:
        name = f"{sys.argv[2]}-{number}"
        item = {"metadata": {"name": name}}
        written = await store.write(Key("things", "edge", name), lambda write: write.commit(item))
        print(written.revision, name, flush=True)
        number += 1
asyncio.run(main())
"""


def key(name: str) -> Key:
    """A key in the only collection of these tests."""
    return Key("things", "edge", name)


def thing(name: str, **fields: object) -> Object:
    """An object with this name."""
    return {"metadata": {"name": name, "namespace": "edge"}, **fields}


async def put(store: Store, name: str, **fields: object) -> Change:
    """Write an object with this name."""
    return await store.write(key(name), lambda write: write.commit(thing(name, **fields)))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with a history of ten revisions."""
    store = Store(tmp_path / "objects.db", history=10)
    await store.open()
    yield store
    await store.close()


async def reopened(path: Path) -> Store:
    """Open the same file again, as another process would."""
    again = Store(path, history=10)
    await again.open()
    return again


async def test_written_objects_survive_reopening(store: Store, tmp_path: Path) -> None:
    await put(store, "one", value=1)
    await put(store, "two")
    await store.write(key("two"), lambda write: write.commit(None))
    again = await reopened(tmp_path / "objects.db")
    assert [item["metadata"]["name"] for item in again.select("things", "")] == ["one"]
    assert again.revision == store.revision
    await again.close()


async def test_revisions_never_go_back_even_after_the_last_object_is_deleted(store: Store, tmp_path: Path) -> None:
    await put(store, "one")
    await store.write(key("one"), lambda write: write.commit(None))
    again = await reopened(tmp_path / "objects.db")
    await again.compact()
    await again.close()
    again = await reopened(tmp_path / "objects.db")
    assert (await put(again, "two")).revision > store.revision
    await again.close()


async def test_an_unchanged_object_is_not_written(store: Store) -> None:
    await put(store, "one")
    revision = store.revision
    done = await store.write(key("one"), lambda write: write.commit(write.current))
    assert (done.type, store.revision) == ("UNCHANGED", revision)


async def test_a_write_gets_a_plain_dictionary(store: Store) -> None:
    await put(store, "one", value=1)
    current = await store.write(key("one"), lambda write: type(write.current))
    assert current is dict


async def test_true_is_not_one(store: Store) -> None:
    await put(store, "one", value=1)
    assert (await put(store, "one", value=True)).type == "MODIFIED"


async def test_cancelling_the_caller_does_not_cancel_the_write(store: Store) -> None:
    writer = asyncio.create_task(put(store, "one"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the write has begun
    writer.cancel()
    await put(store, "two")
    assert [item["metadata"]["name"] for item in store.select("things", "")] == ["one", "two"]


async def test_the_failure_of_a_write_without_a_caller_is_not_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    writer = asyncio.create_task(store.write(key("none"), lambda write: write.commit(None)))
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    await put(store, "one")  # after the other write
    del writer
    gc.collect()
    assert not caplog.records


async def values(store: Store, since: int) -> list[Any] | None:
    """The changes of the things since a revision."""
    changes = await store.changes(since, store.revision, "things")
    return None if changes is None else [(change.type, change.object.get("value")) for change in changes]


async def test_changes_since_a_revision_are_complete_or_unavailable(store: Store) -> None:
    for number in range(15):
        await put(store, "one", value=number)
    await store.compact()
    assert await values(store, store.revision - 3) == [("MODIFIED", 12), ("MODIFIED", 13), ("MODIFIED", 14)]
    assert await values(store, store.revision - 12) is None
    assert await values(store, store.revision + 1) is None


async def test_a_long_history_is_read_in_batches(store: Store) -> None:
    since = store.revision
    for number in range(3):
        await put(store, "one", value=number, text="x" * rows.CHARACTERS)
    found: list[Any] = []
    while (changes := await store.changes(since, store.revision, "things")) != []:
        assert changes is not None
        assert len(changes) == 1
        since = changes[0].revision
        found.append(changes[0].object["value"])
    assert found == [0, 1, 2]


async def test_changes_contain_the_replaced_object_also_after_reopening(store: Store, tmp_path: Path) -> None:
    await put(store, "one", value=1)
    since = store.revision
    await put(store, "one", value=2)
    await store.write(key("one"), lambda write: write.commit(None))
    await put(store, "one", value=3)
    again = await reopened(tmp_path / "objects.db")
    changes = await again.changes(since, again.revision, "things") or []
    seen = [(change.type, change.before and change.before["value"]) for change in changes]
    assert seen == [("MODIFIED", 1), ("DELETED", 2), ("ADDED", None)]
    await again.close()


async def test_compaction_keeps_the_newest_revision_of_every_object(store: Store, tmp_path: Path) -> None:
    await put(store, "old")
    await put(store, "gone")
    await store.write(key("gone"), lambda write: write.commit(None))
    for number in range(500):
        await put(store, "busy", value=number)
    await store.compact()
    with sqlite3.connect(tmp_path / "objects.db") as database:
        rows = database.execute("SELECT name FROM revisions ORDER BY id").fetchall()
    assert [name for (name,) in rows] == ["old", *["busy"] * 11]


async def test_a_list_can_be_read_at_an_earlier_revision(store: Store) -> None:
    for name in ("one", "two"):
        await put(store, name, value=1)
    then = store.revision
    await store.write(key("one"), lambda write: write.commit(None))
    await put(store, "two", value=2)
    found = await store.select_at(then, "things", "edge")
    assert [(item["metadata"]["name"], item["value"]) for item in found or []] == [("one", 1), ("two", 1)]


async def test_a_restored_backup_jumps_ahead_of_what_clients_have_seen(store: Store, tmp_path: Path) -> None:
    await put(store, "one", value=1)
    await asyncio.to_thread(copies.copy, tmp_path / "objects.db", tmp_path / "backup.db")
    await put(store, "one", value=2)
    restored = Store(tmp_path / "backup.db")
    await restored.open()
    assert [item["value"] for item in restored.select("things", "")] == [1]
    assert restored.revision > store.revision
    assert await values(restored, store.revision) is None
    await restored.close()


async def test_a_stalled_watcher_is_dropped_and_delays_no_other(store: Store) -> None:
    slow, quick = store.subscribe(lambda change: change), store.subscribe(lambda change: change)
    for number in range(SUBSCRIBER_LIMIT + 1):
        await put(store, "one", value=number)
        assert (await quick.queue.get()).object["value"] == number
    assert slow.lost
    assert not quick.lost


async def test_changes_that_do_not_concern_a_watcher_take_none_of_its_queue(store: Store) -> None:
    watcher = store.subscribe(lambda change: change if change.key.name == "two" else None)
    await put(store, "one")
    await put(store, "two")
    assert watcher.queue.qsize() == 1


async def test_a_watcher_that_cannot_read_a_change_is_dropped(store: Store) -> None:
    watcher = store.subscribe(lambda change: change.object["missing"])
    await put(store, "one")
    assert watcher.lost


async def test_a_file_that_cannot_be_opened_is_reported_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    with pytest.raises(errors.SettingError, match=r"cannot open the database .*edge-controller restore"):
        await Store(path).open()


async def test_compaction_returns_space_to_the_disk_except_for_the_reserve(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    store = Store(path, history=1)
    await store.open()
    for number in range(150):
        await put(store, "big", value=str(number) * 50_000)
    await store.close()
    grown = path.stat().st_size
    store = await reopened(path)
    await put(store, "big")
    await store.compact()
    await store.close()
    assert path.stat().st_size < grown - 3_000_000


@pytest.mark.parametrize("attempt", range(5))
async def test_every_acknowledged_write_survives_kill_9(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "objects.db"
    acknowledged: list[str] = []
    for life in ("first", "second"):
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), life, stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        acknowledged += [(await writer.stdout.readline()).decode() for _ in range(20 + attempt * 7)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += (await writer.stdout.read()).decode().splitlines(keepends=True)
        await writer.wait()
    whole = [line.split() for line in acknowledged if line.endswith("\n")]
    revisions = [int(revision) for revision, _ in whole]
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT object FROM revisions WHERE NOT deleted").fetchall()
    stored = {json.loads(text)["metadata"]["name"] for (text,) in rows}
    assert {name for _, name in whole} <= stored
    assert revisions == sorted(set(revisions))


async def test_writes_that_arrive_together_share_one_flush_to_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    insert = rows.Rows.insert

    def count(self: rows.Rows, revisions: Sequence[rows.Row]) -> None:
        flushed.append(len(revisions))
        insert(self, revisions)

    monkeypatch.setattr(rows.Rows, "insert", count)
    done = await asyncio.gather(*(put(store, f"thing-{number}") for number in range(10)))
    assert flushed == [10]
    first = done[0].revision
    assert [change.revision for change in done] == list(range(first, first + 10))


async def test_a_write_sees_those_before_it_in_the_same_group(store: Store) -> None:
    created, changed, deleted = await asyncio.gather(
        put(store, "one", value=1),
        put(store, "one", value=2),
        store.write(key("one"), lambda write: write.commit(None)),
    )
    assert [change.type for change in (created, changed, deleted)] == ["ADDED", "MODIFIED", "DELETED"]
    assert changed.before == created.object
    assert store.get(key("one")) is None


async def test_a_write_that_fails_does_not_fail_others_of_its_group(store: Store) -> None:
    outcomes = await asyncio.gather(
        put(store, "one"),
        store.write(key("none"), lambda write: write.commit(None)),
        put(store, "two"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Change, ValueError, Change]
    assert [item["metadata"]["name"] for item in store.select("things", "")] == ["one", "two"]


async def test_a_listener_that_fails_stops_neither_writes_nor_other_listeners(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Change) -> None:
        raise KeyError("a bug")

    store.attach(fail)
    subscription = store.subscribe(lambda change: change)
    async with asyncio.timeout(30):
        await put(store, "one")
        await put(store, "two")
    assert [(await subscription.queue.get()).key.name for _ in range(2)] == ["one", "two"]
    assert "A listener of the store failed" in caplog.text


async def test_of_writes_that_belong_together_all_or_none_take_effect(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be deleted"):
        await store.write_together(
            [
                (key("one"), lambda write: write.commit(thing("one"))),
                (key("none"), lambda write: write.commit(None)),
            ]
        )
    both = [
        (key("two"), lambda write: write.commit(thing("two"))),
        (key("two"), lambda write: write.commit({**thing("two"), "seen": write.current is not None})),
    ]
    created, changed = await store.write_together(both)
    again = await reopened(tmp_path / "objects.db")
    assert list(again.select("things", "")) == [changed.object]
    assert (created.type, changed.type, changed.object["seen"]) == ("ADDED", "MODIFIED", True)
    await again.close()


async def test_if_a_group_cannot_be_written_each_request_is_tried_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = rows.Rows.insert

    def refuse(self: rows.Rows, revisions: Sequence[rows.Row]) -> None:
        if any(revision.key.name == "large" for revision in revisions):
            raise sqlite3.OperationalError("database or disk is full")
        insert(self, revisions)

    monkeypatch.setattr(rows.Rows, "insert", refuse)
    outcomes = await asyncio.gather(
        put(store, "small"), put(store, "large"), put(store, "other"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Change, errors.ApiUnavailableError, Change]
    assert [item["metadata"]["name"] for item in store.select("things", "")] == ["other", "small"]


async def test_few_surplus_revisions_are_not_worth_a_compaction(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db", history=100)
    await store.open()
    for number in range(105):
        await put(store, "one", value=number)
    await store.compact()
    assert await store.changes(1, store.revision, "things")
    for number in range(10):
        await put(store, "one", value=-number)
    await store.compact()
    assert await store.changes(1, store.revision, "things") is None
    await store.close()
