"""What every namespace holds, and what is left of a deleted one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.apiserver.compat.namespace_defaults import ACCOUNT, ROOT_CA, NamespaceDefaults
from controller.apiserver.controllers import seed
from controller.apiserver.controllers.namespace_deletion import NamespaceDeletion
from controller.apiserver.kinds.core import CONFIG_MAPS, CORE, NAMESPACES, SERVICE_ACCOUNTS
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import MERGE_PATCH, ResourceRef, Verbs

CERTIFICATE = ResourceRef(CONFIG_MAPS, "edge", ROOT_CA)
EDGE = ResourceRef(NAMESPACES, "", "edge")
OPTIONS = WriteOptions()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with two namespaces, whose deletion and defaults are under control."""
    made = Store(tmp_path / "objects.db")
    await made.open()
    await seed.create_defaults(made, ("edge", "default"), [])
    running = [
        asyncio.create_task(found.controller.run())
        for found in (NamespaceDeletion(made, Registry(CORE)), NamespaceDefaults(made, "certificate"))
    ]
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await made.close()


async def until(store: Store, ref: ResourceRef, *, exists: bool, **content: object) -> None:
    """Wait until an object is gone, or exists with this content."""
    changes = store.subscribe(lambda change: change)
    async with asyncio.timeout(30):
        while ((found := store.get(ref.key)) is not None) != exists or any(
            (found or {}).get(name) != value for name, value in content.items()
        ):
            await changes.queue.get()
    store.unsubscribe(changes)


async def test_every_namespace_gets_its_defaults_and_keeps_them(store: Store) -> None:
    data = {"ca.crt": "certificate"}
    await until(store, ResourceRef(SERVICE_ACCOUNTS, "default", ACCOUNT), exists=True)
    await until(store, CERTIFICATE, exists=True, data=data)
    await Verbs(store).patch(CERTIFICATE, {"data": {"ca.crt": "forged"}}, MERGE_PATCH, OPTIONS)
    await until(store, CERTIFICATE, exists=True, data=data)
    await Verbs(store).delete(CERTIFICATE, Deletion(), OPTIONS)
    await until(store, CERTIFICATE, exists=True, data=data)
    await Verbs(store).create(ResourceRef(NAMESPACES, ""), {"metadata": {"name": "new"}}, OPTIONS)
    await until(store, CERTIFICATE._replace(namespace="new"), exists=True, data=data)


async def test_a_deleted_namespace_goes_after_its_content(store: Store) -> None:
    held = ResourceRef(CONFIG_MAPS, "edge", "held")
    body = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await Verbs(store).create(held._replace(name=""), body, OPTIONS)
    await until(store, CERTIFICATE, exists=True)
    await Verbs(store).delete(EDGE, Deletion(), OPTIONS)
    await until(store, CERTIFICATE, exists=False)
    assert store.get(EDGE.key) is not None
    await Verbs(store).patch(held, {"metadata": {"finalizers": None}}, MERGE_PATCH, OPTIONS)
    await until(store, EDGE, exists=False)
