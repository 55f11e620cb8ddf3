"""The deletion of a kind or a namespace also deletes the objects that a definition no longer serves."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.controllers import seed
from controller.apiserver.controllers.namespace_deletion import NamespaceDeletion
from controller.apiserver.kinds.core import CORE, DEFINITIONS, NAMESPACES
from controller.apiserver.kinds.resources import Registry, as_stored
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs
from tests.conformance.test_definitions import GADGETS

DEFINITION = ResourceRef(DEFINITIONS, "", "gadgets.test.getedge.me")


NAMESPACE = ResourceRef(NAMESPACES, "", "plant")


def gadgets(served: list[str], scope: str) -> dict[str, Any]:
    """The definition of the gadgets with these served versions."""
    definition: dict[str, Any] = copy.deepcopy(GADGETS)
    definition["spec"]["scope"] = scope
    for version in definition["spec"]["versions"]:
        version["served"] = version["name"] in served
    return definition


async def delete(store: Store, registry: Registry, ref: ResourceRef) -> None:
    """Delete a definition or a namespace, and wait until it is gone."""
    deletion = asyncio.create_task(NamespaceDeletion(store, registry).controller.run())
    gone = store.subscribe(lambda change: change)
    await Verbs(store).delete(ref, Deletion(), WriteOptions())
    async with asyncio.timeout(30):
        while store.get(ref.key) is not None:
            await gone.queue.get()
    deletion.cancel()
    await asyncio.gather(deletion, return_exceptions=True)


@pytest.mark.parametrize("served", [[], ["v1"], ["v2"]], ids=["none", "not the stored version", "the stored version"])
@pytest.mark.parametrize("ended", [DEFINITION, NAMESPACE], ids=["definition", "namespace"])
async def test_what_is_deleted_goes_after_its_objects(tmp_path: Path, served: list[str], ended: ResourceRef) -> None:
    scope, namespace = ("Namespaced", "plant") if ended is NAMESPACE else ("Cluster", "")
    definition = gadgets(served, scope)
    store, registry = Store(tmp_path / "objects.db"), Registry(CORE)
    await store.open()
    seed.serve_definitions(store, registry)
    await seed.create_defaults(store, ("default", "plant"), [definition])
    gadget = ResourceRef(as_stored(definition), namespace, "one")
    await Verbs(store).create(gadget._replace(name=""), {"metadata": {"name": "one"}}, WriteOptions())
    await delete(store, registry, ended)
    assert store.get(gadget.key) is None
    await store.close()
