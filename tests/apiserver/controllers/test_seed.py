"""What a start creates and updates in the store."""

from __future__ import annotations

from controller.api import crds
from controller.apiserver.controllers import seed
from controller.apiserver.kinds import definitions
from controller.apiserver.kinds.core import DEFINITIONS
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import ResourceRef


async def test_our_definitions_are_stored_as_a_later_start_expects_them(store: Store) -> None:
    await seed.create_defaults(store, ["default"], crds.manifests())
    wanted = {made["metadata"]["name"]: definitions.with_defaults(made["spec"]) for made in crds.manifests()}
    assert {made["metadata"]["name"]: made["spec"] for made in store.select(DEFINITIONS.key, "")} == wanted


async def test_a_start_updates_only_the_definitions_that_changed(store: Store) -> None:
    await seed.create_defaults(store, ["default"], crds.manifests())
    changed = crds.manifests()
    changed[0]["spec"]["names"]["shortNames"] = ["other"]
    before = store.revision
    await seed.create_defaults(store, ["default"], changed)
    kept = store.get(ResourceRef(DEFINITIONS, "", changed[0]["metadata"]["name"]).key)
    assert kept is not None
    assert (store.revision - before, kept["metadata"]["generation"]) == (1, 2)
