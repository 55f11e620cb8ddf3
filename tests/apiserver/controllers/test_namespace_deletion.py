"""The deletion of a kind also deletes the objects that its definition no longer serves."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.controllers import seed
from controller.apiserver.controllers.namespace_deletion import NamespaceDeletion
from controller.apiserver.kinds.core import CORE, DEFINITIONS
from controller.apiserver.kinds.resources import Registry, as_stored
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs
from tests.conformance.test_definitions import GADGETS

DEFINITION = ResourceRef(DEFINITIONS, "", "gadgets.test.getedge.me")


@pytest.mark.parametrize("served", [[], ["v1"], ["v2"]], ids=["none", "not the stored version", "the stored version"])
async def test_a_deleted_definition_goes_after_its_objects(tmp_path: Path, served: list[str]) -> None:
    definition: dict[str, Any] = copy.deepcopy(GADGETS)
    for version in definition["spec"]["versions"]:
        version["served"] = version["name"] in served
    store, registry = Store(tmp_path / "objects.db"), Registry(CORE)
    await store.open()
    seed.serve_definitions(store, registry)
    await seed.create_defaults(store, ("default",), [definition])
    gadget = ResourceRef(as_stored(definition), "", "one")
    await Verbs(store).create(gadget._replace(name=""), {"metadata": {"name": "one"}}, WriteOptions())
    deletion = asyncio.create_task(NamespaceDeletion(store, registry).controller.run())
    gone = store.subscribe()
    await Verbs(store).delete(DEFINITION, Deletion(), WriteOptions())
    async with asyncio.timeout(30):
        while store.get(DEFINITION.key) is not None:
            await gone.queue.get()
    deletion.cancel()
    await asyncio.gather(deletion, return_exceptions=True)
    assert store.get(gadget.key) is None
    await store.close()
