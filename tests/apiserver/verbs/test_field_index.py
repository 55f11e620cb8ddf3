"""Indexes by field: they select what a scan of all objects would, also after changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Selectable
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.verbs.field_index import FieldIndexes

BOUND = replace(
    next(resource for resource in CORE if resource.kind == "ConfigMap"), selectable=(Selectable("data.to"),)
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with two objects in two namespaces."""
    store = Store(tmp_path / "objects.db")
    await store.open()
    await write(store, "edge", "a", "plc")
    await write(store, "other", "a", "plc")
    yield store
    await store.close()


async def write(store: Store, namespace: str, name: str, to: str | None) -> None:
    """Write an object; None deletes it."""
    item: dict[str, Any] = {"metadata": {"name": name, "namespace": namespace}, "data": {"to": to}}
    await store.write(Key(BOUND.key, namespace, name), lambda write: write.commit(None if to is None else item))


def found(indexes: FieldIndexes, namespace: str, **equal: str) -> list[tuple[str, str]]:
    """The places of the selected objects."""
    items = indexes.select(BOUND, namespace, {f"data.{name}": value for name, value in equal.items()})
    return [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items]


async def test_only_objects_with_the_value_are_selected(store: Store) -> None:
    await write(store, "edge", "b", "other")
    indexes = FieldIndexes(store)

    assert found(indexes, "edge", to="plc") == [("edge", "a")]
    assert found(indexes, "", to="plc") == [("edge", "a"), ("other", "a")]
    assert found(indexes, "edge") == [("edge", "a"), ("edge", "b")]


async def test_an_index_follows_creations_changes_and_deletions(store: Store) -> None:
    indexes = FieldIndexes(store)
    assert found(indexes, "edge", to="plc") == [("edge", "a")]

    await write(store, "edge", "b", "plc")
    await write(store, "edge", "a", "moved")
    await write(store, "other", "a", None)

    assert found(indexes, "", to="plc") == [("edge", "b")]
    assert found(indexes, "", to="moved") == [("edge", "a")]


async def test_a_field_that_a_definition_moved_is_indexed_again(store: Store) -> None:
    indexes = FieldIndexes(store)
    assert found(indexes, "edge", to="plc")
    moved = replace(BOUND, selectable=(Selectable("data.to", paths=("metadata.name",)),))

    assert [item["metadata"]["namespace"] for item in indexes.select(moved, "", {"data.to": "a"})] == ["edge", "other"]
    assert not indexes.select(moved, "", {"data.to": "plc"})


async def test_a_list_by_an_indexed_field_reads_no_other_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    indexes = FieldIndexes(store)
    found(indexes, "edge", to="plc")
    monkeypatch.setattr(Store, "select", None)

    assert found(indexes, "edge", to="plc") == [("edge", "a")]
