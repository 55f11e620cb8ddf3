"""The scale of a custom resource: a view of three of its fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver import failures
from controller.apiserver.compat import scales
from controller.apiserver.compat.scales import Scales
from controller.apiserver.controllers import seed
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.resources import of_definition
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import MERGE_PATCH, STRATEGIC_PATCH, ResourceRef, Verbs

SCALE = {
    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}  # fmt: skip
VERSION = {
    "name": "v1", "served": True, "storage": True, "subresources": {"scale": SCALE},
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}  # fmt: skip
SPEC = {"group": "a.b", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [VERSION]}
THINGS = of_definition({"metadata": {}, "spec": SPEC})[0]
THING = ResourceRef(THINGS, "edge", "one")
ME = WriteOptions(manager="me")


@pytest.fixture
async def verbs(tmp_path: Path) -> AsyncIterator[Verbs]:
    """The verbs on a store with a thing."""
    await asyncio.to_thread(core_types.types)  # read from a file once
    store = Store(tmp_path / "objects.db")
    await store.open()
    await seed.create_defaults(store, ("edge", "default"), [])
    verbs = Verbs(store)
    await verbs.create(THING._replace(name=""), {"metadata": {"name": "one"}, "spec": {"a": 1}}, ME)
    yield verbs
    await store.close()


async def test_a_scale_is_a_view_of_the_object(verbs: Verbs) -> None:
    for patch, kind in (({"spec": {"replicas": 3}}, MERGE_PATCH), ({"spec": {"replicas": 3}}, STRATEGIC_PATCH)):
        done = await Scales(verbs).patch(THING, patch, kind, ME)
        assert done.object["spec"] == {"a": 1, "replicas": 3}
    shown = scales.of(THINGS, {**done.object, "status": {"replicas": 2, "selector": "a=b"}})
    assert (shown["spec"], shown["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})


@pytest.mark.parametrize(
    "scale",
    [
        None, {}, {"kind": "Scale", "apiVersion": "v1"}, {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": 1},
        *({"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": n}} for n in (-1, "1", None, True)),
    ],
)  # fmt: skip
async def test_a_malformed_scale_is_refused(verbs: Verbs, scale: Any) -> None:
    with pytest.raises(failures.Failure):
        await Scales(verbs).update(THING, scale, ME)
