"""A list read in pages is that of the first page, and writes between the pages do not make it slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver import failures
from controller.apiserver.objects import request_options
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.texts import Selection
from controller.apiserver.verbs import snapshots
from controller.apiserver.verbs.reading import Reading
from controller.apiserver.verbs.writing import ResourceRef
from tests.apiserver.verbs.test_field_index import BOUND

HISTORY = 20  # revisions
EVERY = ResourceRef(BOUND, "")


class CountingStore(Store):
    """Counts the lists that are read from disk."""

    read = 0

    async def select_at(self, revision: int, resource: str, namespace: str) -> Selection | None:
        self.read += 1
        return await super().select_at(revision, resource, namespace)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountingStore]:
    """A store with the objects a to f."""
    store = CountingStore(tmp_path / "objects.db", history=HISTORY)
    await store.open()
    for name in "abcdef":
        await write(store, name, "1")
    yield store
    await store.close()


async def write(store: Store, name: str, to: str | None) -> None:
    """Write an object; None deletes it."""
    item: dict[str, Any] = {"metadata": {"name": name, "namespace": "edge"}, "data": {"to": to}}
    await store.write(Key(BOUND.key, "edge", name), lambda write: write.commit(None if to is None else item))


async def page(reading: Reading, token: str = "", limit: int = 2, **query: str) -> tuple[str, str]:
    """The names and values of a page in one text, and the token of the next one."""
    whole = {"limit": str(limit), **({"continue": token} if token else {}), **query}
    found, metadata = await reading.select(EVERY, request_options.of_list(whole))
    return "".join(item["metadata"]["name"] + item["data"]["to"] for item in found), metadata.get("continue", "")


async def test_pages_after_writes_show_the_first_state_without_reading_it_again(store: CountingStore) -> None:
    reading = Reading(store)
    first, token = await page(reading)
    await write(store, "c", "2")
    await write(store, "d", None)
    second, token = await page(reading, token)
    await write(store, "e", "2")
    third, token = await page(reading, token)
    assert (first, second, third, token, store.read) == ("a1b1", "c1d1", "e1f1", "", 0)


async def test_a_list_that_was_read_to_its_end_is_not_kept(store: CountingStore) -> None:
    reading = Reading(store)
    _, token = await page(reading, limit=4)
    await write(store, "e", "2")
    assert await page(reading, token, limit=4) == ("e1f1", "")
    assert await page(reading, token, limit=4) == ("e1f1", "")
    assert store.read == 1


async def test_lists_with_different_selectors_are_kept_apart(store: CountingStore) -> None:
    reading = Reading(store)
    await write(store, "f", "2")
    _, every = await page(reading)
    _, ones = await page(reading, fieldSelector="data.to=1")
    await write(store, "c", "3")
    assert (await page(reading, every, limit=9))[0] == "c1d1e1f2"
    assert (await page(reading, ones, limit=9, fieldSelector="data.to=1"))[0] == "c1d1e1"
    assert store.read == 0


async def test_only_the_last_few_lists_are_kept(store: CountingStore) -> None:
    reading = Reading(store)
    _, oldest = await page(reading)
    for number in range(snapshots.KEPT):
        await write(store, "a", str(number))
        await page(reading)
    assert (await page(reading, oldest, limit=9))[0] == "c1d1e1f1"
    assert store.read == 1


async def test_a_compacted_list_expires_although_it_is_kept(store: CountingStore) -> None:
    reading = Reading(store)
    _, token = await page(reading)
    await write(store, "a", "2")
    for _ in range(3 * HISTORY):
        await write(store, "a", "2")
    await store.compact()
    with pytest.raises(failures.Failure, match="continue"):
        await page(reading, token)
