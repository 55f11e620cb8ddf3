"""Warnings of an application about its own resources are returned with writes, but never refuse them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.controllers import seed
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core import CONFIG_MAPS
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.reading import Advice, Reading
from controller.apiserver.verbs.writing import MERGE_PATCH, ResourceRef, Verbs

PLACE = ResourceRef(CONFIG_MAPS, "edge")
HOLD = {"finalizers": ["example.com/hold"]}


def others(item: dict[str, Any], everything: Iterable[dict[str, Any]]) -> list[str]:
    """A warning for every other object."""
    return [f"beside {one['metadata']['name']}" for one in everything if one is not item and one != item]


def verbs(store: Store, resource: str = CONFIG_MAPS.key) -> Verbs:
    """Writes that warn of every other object of a resource."""
    return Verbs(store, {resource: partial(Reading(store).advised, Advice("metadata.uid", others))})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    await asyncio.to_thread(core_types.types)  # read from a file once
    made = Store(tmp_path / "objects.db")
    await made.open()
    await seed.create_defaults(made, ("edge", "default"), [])
    await Verbs(made).create(PLACE, {"metadata": {"name": "first", **HOLD}}, WriteOptions())
    yield made
    await made.close()


async def test_writes_return_warnings_and_succeed(store: Store) -> None:
    writer = verbs(store)
    second = PLACE._replace(name="second")

    made = await writer.create(PLACE, {"metadata": {"name": "second"}}, WriteOptions())
    changed = await writer.patch(second, {"data": {"a": "b"}}, MERGE_PATCH, WriteOptions())
    tried = await writer.patch(second, {"data": {"a": "c"}}, MERGE_PATCH, WriteOptions(dry=True))

    assert "beside first" in made.warnings
    assert "beside first" in changed.warnings
    assert "beside first" in tried.warnings
    assert store.get(second.key) == changed.object


async def test_deletions_and_writes_of_other_resources_have_no_warnings(store: Store) -> None:
    first = PLACE._replace(name="first")

    deleted = await verbs(store).delete(first, Deletion(), WriteOptions())
    other = await verbs(store, "widgets.example.com").patch(first, {"data": {}}, MERGE_PATCH, WriteOptions())

    assert deleted.warnings == other.warnings == []
