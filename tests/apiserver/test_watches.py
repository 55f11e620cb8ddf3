"""What a watch shows of what was there and what has happened since, piece by piece, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.kinds.core import CORE
from controller.apiserver.objects.list_options import of_watch
from controller.apiserver.objects.representation import Form
from controller.apiserver.storage.store import Key, Store
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
    await store.write(Key(CONFIG_MAPS.key, "edge", name), lambda _: item)


def watching(store: Store, query: dict[str, str], turn: asyncio.Lock | None = None) -> AsyncGenerator[bytes, None]:
    """The pieces of a watch."""
    place = ResourceRef(CONFIG_MAPS, "edge")
    watch = Watch(store, place, lambda _: True, Form(), Worker(), turn or asyncio.Lock())
    return watch.events(of_watch(query))


def told(piece: bytes) -> list[tuple[str, Any]]:
    """What the events of a piece tell."""
    events = [json.loads(line) for line in piece.splitlines()]
    return [(event["type"], event["object"].get("data", {}).get("value")) for event in events]


@pytest.mark.parametrize(("query", "kind"), [({}, "ADDED"), ({"resourceVersion": "3"}, "MODIFIED")])
async def test_what_was_comes_in_pieces_before_what_happens(store: Store, query: dict[str, str], kind: str) -> None:
    stream = watching(store, query)
    assert [told(await anext(stream)) for _ in range(3)] == [[(kind, "new")]] * 3
    await write(store, "a", "newer")
    assert told(await anext(stream)) == [("MODIFIED", "newer")]
    await stream.aclose()


async def test_a_history_that_goes_while_it_is_read_ends_the_watch_with_an_error(store: Store) -> None:
    stream = watching(store, {"resourceVersion": "3"})
    assert told(await anext(stream)) == [("MODIFIED", "new")]
    for value in "12345":
        await write(store, "a", value)
    await store.compact()
    error = json.loads(await anext(stream))
    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
    assert [piece async for piece in stream] == []


async def test_history_is_read_in_the_turn_of_its_user_and_sent_outside_of_it(store: Store) -> None:
    turn = asyncio.Lock()
    stream = watching(store, {"resourceVersion": "3"}, turn)
    async with turn:
        waiting = asyncio.ensure_future(anext(stream))
        await store.compact()
        assert not waiting.done()
    await waiting
    assert not turn.locked()
    await stream.aclose()


async def test_a_watch_of_a_client_that_went_at_once_leaves_nothing(store: Store) -> None:
    before = list(store._listeners)
    await watching(store, {}).aclose()
    stream = watching(store, {})
    await anext(stream)
    await stream.aclose()
    assert store._listeners == before
