"""Watches: initial events, history in batches, live changes, and cleanup."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.kinds.core import CORE
from controller.apiserver.objects.representation import Form
from controller.apiserver.objects.request_options import of_watch
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.verbs import watches
from controller.apiserver.verbs.watches import Watch
from controller.apiserver.verbs.writing import ResourceRef
from controller.apiserver.worker import Worker

CONFIG_MAPS = next(resource for resource in CORE if resource.kind == "ConfigMap")
LARGE = "x" * (64 << 10)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with three large objects, each changed once."""
    store = Store(tmp_path / "objects.db", history=4)
    await store.open()
    for value in ("old", "new"):
        for name in ("a", "b", "c"):
            await write(store, name, value)
    yield store
    await store.close()


async def write(store: Store, name: str, value: str) -> None:
    """Write a large object."""
    item = {"metadata": {"name": name, "namespace": "edge"}, "data": {"value": value, "large": LARGE}}
    await store.write(Key(CONFIG_MAPS.key, "edge", name), lambda write: write.commit(item))


def events_of(store: Store, query: dict[str, str], turn: asyncio.Lock | None = None) -> AsyncGenerator[bytes, None]:
    """The event stream of a watch."""
    place = ResourceRef(CONFIG_MAPS, "edge")
    watch = Watch(store, place, lambda _: True, Form(), Worker(), turn or asyncio.Lock())
    return watch.events(of_watch(query))


def data_of(piece: bytes) -> list[tuple[str, Any]]:
    """Types and values of the encoded events."""
    events = [json.loads(line) for line in piece.splitlines()]
    return [(event["type"], event["object"].get("data", {}).get("value")) for event in events]


@pytest.mark.parametrize(("query", "kind"), [({}, "ADDED"), ({"resourceVersion": "3"}, "MODIFIED")])
async def test_initial_events_come_before_live_changes(store: Store, query: dict[str, str], kind: str) -> None:
    stream = events_of(store, query)
    assert [data_of(await anext(stream)) for _ in range(3)] == [[(kind, "new")]] * 3
    await write(store, "a", "newer")
    assert data_of(await anext(stream)) == [("MODIFIED", "newer")]
    await stream.aclose()


async def test_compaction_of_the_history_being_read_ends_the_watch_with_an_error(store: Store) -> None:
    stream = events_of(store, {"resourceVersion": "3"})
    assert data_of(await anext(stream)) == [("MODIFIED", "new")]
    for value in "12345":
        await write(store, "a", value)
    await store.compact()
    error = json.loads(await anext(stream))
    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
    assert [piece async for piece in stream] == []


async def test_a_quiet_kind_gets_a_bookmark_while_other_kinds_change(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "BOOKMARK_SECONDS", 0.2)
    stream = events_of(store, {"resourceVersion": "6", "allowWatchBookmarks": "true"})
    other = asyncio.create_task(change_without_end(store))
    bookmark = json.loads(await asyncio.wait_for(anext(stream), 30))
    other.cancel()
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) > 6
    await stream.aclose()


async def change_without_end(store: Store) -> None:
    """Write objects of another kind, so that no watch is ever idle."""
    for number in itertools.count():
        item = {"metadata": {"name": "a", "namespace": "edge"}, "number": number}
        await store.write(Key("things", "edge", "a"), lambda write, item=item: write.commit(item))  # type: ignore[misc]


async def test_a_bookmark_does_not_overtake_changes_that_are_still_to_be_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "BOOKMARK_SECONDS", 0.0)
    stream = events_of(store, {"resourceVersion": "6", "allowWatchBookmarks": "true"})
    assert json.loads(await anext(stream))["object"]["metadata"]["resourceVersion"] == "6"
    await write(store, "a", "newer")
    while (event := json.loads(await anext(stream)))["type"] == "BOOKMARK":
        assert event["object"]["metadata"]["resourceVersion"] == "6"
    assert event["object"]["metadata"]["resourceVersion"] == "7"
    await stream.aclose()


async def test_the_turn_is_held_for_reading_history_but_not_for_sending(store: Store) -> None:
    turn = asyncio.Lock()
    stream = events_of(store, {"resourceVersion": "3"}, turn)
    async with turn:
        waiting = asyncio.ensure_future(anext(stream))
        await store.compact()
        assert not waiting.done()
    await waiting
    assert not turn.locked()
    await stream.aclose()


async def test_a_closed_watch_leaves_no_subscription(store: Store) -> None:
    before = list(store._listeners)
    await events_of(store, {}).aclose()
    stream = events_of(store, {})
    await anext(stream)
    await stream.aclose()
    assert store._listeners == before
