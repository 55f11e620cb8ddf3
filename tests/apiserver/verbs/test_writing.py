"""The write verbs on a store: patches, server-side apply, and what a full disk accepts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver import failures
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from controller.apiserver.kinds.resources import Resource, of_definition
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.reserve import Urgency
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs import urgency
from controller.apiserver.verbs.writing import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, ResourceRef, Verbs

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
VERSION = {
    "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING},
    "subresources": {"status": {}},
}  # fmt: skip
SPEC = {"group": "a.b", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [VERSION]}
THINGS = of_definition({"metadata": {}, "spec": SPEC})[0]
ONE = ResourceRef(CONFIG_MAPS, "edge", "one")
THING = ResourceRef(THINGS, "edge", "one")
ME = WriteOptions(manager="me")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with a namespace, a ConfigMap and a thing."""
    await asyncio.to_thread(core_types.types)  # read from a file once
    made = Store(tmp_path / "objects.db")
    await made.open()
    verbs = Verbs(made)
    await verbs.create(ResourceRef(NAMESPACES, ""), {"metadata": {"name": "edge"}}, ME)
    await verbs.create(ONE._replace(name=""), {"metadata": {"name": "one"}, "data": {"a": "b"}}, ME)
    await verbs.create(THING._replace(name=""), {"metadata": {"name": "one"}, "spec": {"a": 1}}, ME)
    yield made
    await made.close()


@pytest.fixture
def verbs(store: Store) -> Verbs:
    """The verbs on that store."""
    return Verbs(store)


@pytest.mark.parametrize(
    ("kind", "patch", "data"),
    [
        (MERGE_PATCH, {"data": {"a": None, "c": "d"}}, {"c": "d"}),
        (STRATEGIC_PATCH, {"data": {"$patch": "replace", "c": "d"}}, {"c": "d"}),
        (JSON_PATCH, [{"op": "add", "path": "/data/c", "value": "d"}], {"a": "b", "c": "d"}),
    ],
)
async def test_a_patch_changes_the_current_object(verbs: Verbs, kind: str, patch: Any, data: Any) -> None:
    done = await verbs.patch(ONE, patch, kind, ME)
    assert (done.object["data"], done.type) == (data, "MODIFIED")


@pytest.mark.parametrize(
    ("kind", "patch", "code"),
    [
        (MERGE_PATCH, [], 400), (MERGE_PATCH, {"metadata": {"name": "two"}}, 400), (JSON_PATCH, {}, 400),
        (JSON_PATCH, [{"op": "test", "path": "/data/a", "value": "x"}], 422), (STRATEGIC_PATCH, {"$patch": "odd"}, 422),
        (JSON_PATCH, [{"op": "remove", "path": ""}], 422), (MERGE_PATCH, {"metadata": {"uid": "other"}}, 409),
        (JSON_PATCH, [{"op": "test", "path": "", "value": 1}] * 10_001, 413),
    ],
)  # fmt: skip
async def test_a_refused_patch_changes_nothing(store: Store, verbs: Verbs, kind: str, patch: Any, code: int) -> None:
    before, revision = store.get(ONE.key), store.revision
    with pytest.raises(failures.Failure) as refused:
        await verbs.patch(ONE, patch, kind, ME)
    assert refused.value.code == code
    assert (store.get(ONE.key), store.revision) == (before, revision)


async def test_lists_merge_as_the_types_of_kubernetes_say(verbs: Verbs) -> None:
    ref = ResourceRef(SERVICE_ACCOUNTS, "edge", "robot")
    body = {"metadata": {"name": "robot"}, "secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "a"}]}
    await verbs.create(ref._replace(name=""), body, ME)
    patch = {"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "b"}]}
    done = await verbs.patch(ref, patch, STRATEGIC_PATCH, ME)
    assert done.object["secrets"] == [{"name": "a"}, {"name": "b"}]


async def test_a_custom_kind_has_no_strategic_merge(verbs: Verbs) -> None:
    with pytest.raises(failures.Failure) as refused:
        await verbs.patch(THING, {}, STRATEGIC_PATCH, ME)
    assert refused.value.code == 415


async def test_true_replaces_one(verbs: Verbs) -> None:
    done = await verbs.patch(THING, {"spec": {"a": True}}, MERGE_PATCH, ME)
    assert done.object["spec"]["a"] is True
    assert done.object["metadata"]["generation"] == 2


async def test_a_dry_run_writes_nothing_and_ignores_the_version_of_a_new_object(store: Store, verbs: Verbs) -> None:
    revision = store.revision
    body = {"metadata": {"name": "two", "resourceVersion": "x"}}
    done = await verbs.create(ONE._replace(name=""), body, WriteOptions(dry=True))
    assert done.created
    assert "resourceVersion" not in done.object["metadata"]
    assert store.revision == revision


async def test_apply_creates_only_the_object_of_its_url(store: Store, verbs: Verbs) -> None:
    two = ONE._replace(name="two")
    with pytest.raises(failures.Failure, match="does not match the name on the URL"):
        await verbs.apply(two, {"metadata": {"name": "three"}}, ME)
    assert (await verbs.apply(two, {"metadata": {}}, ME)).object["metadata"]["name"] == "two"


async def test_a_conflict_of_appliers_names_the_field(verbs: Verbs) -> None:
    config = {"metadata": {"name": "one"}, "data": {"a": "mine"}}
    with pytest.raises(failures.Failure, match="conflict with") as refused:
        await verbs.apply(ONE, config, WriteOptions(manager="other"))
    assert refused.value.code == 409
    done = await verbs.apply(ONE, config, WriteOptions(manager="other", force=True))
    assert done.object["data"] == {"a": "mine"}


async def test_the_last_finalizer_removes_a_deleted_object(store: Store, verbs: Verbs) -> None:
    held = {"metadata": {"finalizers": ["a/b"], "deletionTimestamp": None}}
    await verbs.patch(ONE, held, MERGE_PATCH, ME)
    marked = await verbs.delete(ONE, Deletion(), ME)
    assert (marked.type, store.get(ONE.key) is None) == ("MODIFIED", False)
    done = await verbs.patch(ONE, {"metadata": {"finalizers": None}}, MERGE_PATCH, ME)
    assert (done.type, store.get(ONE.key)) == ("DELETED", None)


DELETED = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("resource", "options", "before", "made", "expected"),
    [
        (CONFIG_MAPS, ME, None, {"metadata": {}}, Urgency.ORDINARY),
        (CONFIG_MAPS, ME, {"metadata": {}, "data": {}}, {"metadata": {"labels": {}}, "data": {}}, Urgency.NECESSARY),
        (CONFIG_MAPS, ME, {"metadata": {}}, {"metadata": {}, "data": {}}, Urgency.ORDINARY),
        (CONFIG_MAPS, ME, {"metadata": {}}, None, Urgency.DELETION), (CONFIG_MAPS, ME, None, DELETED, Urgency.DELETION),
        (CONFIG_MAPS, WriteOptions(necessary=True), None, {"metadata": {}}, Urgency.NECESSARY),
        (THINGS, WriteOptions(subresource="status"), {"metadata": {}}, {"metadata": {}, "a": 1}, Urgency.NECESSARY),
    ],
)  # fmt: skip
def test_what_is_written_on_a_full_disk(
    resource: Resource, options: WriteOptions, before: Any, made: Any, expected: Urgency
) -> None:
    assert urgency.of(resource, options, before, made) == expected
