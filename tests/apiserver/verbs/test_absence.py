"""What must not exist is looked for among all objects that a write follows, also those not on disk yet."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from controller.apiserver import failures
from controller.apiserver.storage.store import Change, Store, Transaction
from controller.apiserver.verbs.reading import Reading
from controller.apiserver.verbs.writing import ResourceRef, Step, Verbs
from tests.apiserver.verbs.test_field_index import BOUND


def put(store: Store, namespace: str, name: str, to: str | None) -> Coroutine[Any, Any, object]:
    """Write an object unless one with its value exists; None as value deletes it."""
    item: dict[str, Any] = {"metadata": {"name": name, "namespace": namespace}, "data": {"to": to}}
    every = ResourceRef(BOUND, "")
    checks = [Step(every, Reading(store).absence(every, f"data.to={to}"))] if to else []

    def work(write: Transaction) -> Change:
        return write.commit(item if to else None)

    return Verbs(store).together([Step(ResourceRef(BOUND, namespace, name), work)], checks)


def names(store: Store) -> list[str]:
    """The names of all objects."""
    return [item["metadata"]["name"] for item in store.select(BOUND.key, "")]


async def test_an_object_on_disk_exists(store: Store) -> None:
    await put(store, "edge", "a", "plc")
    with pytest.raises(failures.AlreadyExists, match='"a" already exists'):
        await put(store, "other", "b", "plc")
    await put(store, "other", "b", "other")
    assert names(store) == ["a", "b"]


async def test_of_two_at_once_only_the_first_is_written(store: Store) -> None:
    outcomes = await asyncio.gather(
        put(store, "edge", "a", "plc"), put(store, "other", "b", "plc"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [list, failures.AlreadyExists]
    assert names(store) == ["a"]


async def test_an_object_that_was_deleted_does_not_exist(store: Store) -> None:
    await put(store, "edge", "a", "plc")
    await put(store, "edge", "a", None)
    await put(store, "edge", "b", "plc")
    assert names(store) == ["b"]


async def test_writes_to_disk_are_waited_for(store: Store) -> None:
    first = asyncio.create_task(put(store, "edge", "a", "plc"))
    await asyncio.sleep(0)  # its commit has begun
    await asyncio.sleep(0)
    with pytest.raises(failures.AlreadyExists):
        await put(store, "other", "b", "plc")
    await first
    assert names(store) == ["a"]
