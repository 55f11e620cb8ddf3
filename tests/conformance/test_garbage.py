"""Garbage collection: dependents of deleted owners (Kubernetes documentation: garbage collection)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import Api, Session
from tests.conformance.shared_server import NAMESPACE

Object = dict[str, Any]
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}
HOLD = "test.getedge.me/hold"


class Objects:
    """Creates and deletes ConfigMaps that own each other."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def make(self, name: str, *owners: Object, path: str = CONFIG_MAPS, **metadata: Any) -> Object:
        """Create an object and return an owner reference to it."""
        body = {"metadata": {"name": name, "ownerReferences": list(owners), **metadata}}
        async with self._http.post(self._url + path, json=body) as answer:
            assert answer.status == 201, await answer.text()
            made = await answer.json()
        return {"apiVersion": "v1", "kind": made["kind"], "name": name, "uid": made["metadata"]["uid"]}

    async def delete(self, name: str, path: str = CONFIG_MAPS, **options: Any) -> Object:
        """Delete an object with these options and return the answer."""
        async with self._http.delete(f"{self._url}{path}/{name}", json=options) as answer:
            assert answer.status == 200, await answer.text()
            found: Object = await answer.json()
            return found

    async def get(self, name: str) -> Object | None:
        """The object, None when it does not exist."""
        async with self._http.get(f"{self._url}{CONFIG_MAPS}/{name}") as answer:
            found: Object = await answer.json()
            return found if answer.status == 200 else None

    async def patch(self, name: str, **metadata: Any) -> None:
        """Patch the metadata of an object."""
        data = json.dumps({"metadata": metadata})
        async with self._http.patch(f"{self._url}{CONFIG_MAPS}/{name}", data=data, headers=MERGE) as answer:
            assert answer.status == 200, await answer.text()

    async def gone(self, *names: str) -> None:
        """Wait until none of these objects exists."""
        query = {"watch": "1", "timeoutSeconds": "30"}
        left: set[str] = set(names)
        async with self._http.get(self._url + CONFIG_MAPS, params=await self._listed(query, left)) as events:
            while left:
                line = await events.content.readline()
                assert line, f"still there: {left}"
                event = json.loads(line)
                if event["type"] == "DELETED":
                    left.discard(event["object"]["metadata"]["name"])

    async def owned_by(self, name: str, *owners: Object) -> None:
        """Wait until the object has exactly these owner references."""
        query = {"watch": "1", "timeoutSeconds": "30", "fieldSelector": f"metadata.name={name}"}
        async with self._http.get(self._url + CONFIG_MAPS, params=query) as events:
            async for line in events.content:
                if json.loads(line)["object"]["metadata"].get("ownerReferences") == list(owners):
                    return
        raise AssertionError(f"{name} is not owned by {owners}")

    async def _listed(self, query: dict[str, str], left: set[str]) -> dict[str, str]:
        async with self._http.get(self._url + CONFIG_MAPS) as answer:
            found = await answer.json()
        left &= {item["metadata"]["name"] for item in found["items"]}
        return {**query, "resourceVersion": found["metadata"]["resourceVersion"]}


@pytest.fixture
async def objects(api: Api) -> AsyncIterator[Objects]:
    """A helper without objects."""
    async with Session(api) as (session, url):
        yield Objects(session, url)


@pytest.mark.parametrize("options", [{}, {"propagationPolicy": "Background"}, {"orphanDependents": False}])
async def test_dependents_are_deleted_transitively(objects: Objects, options: Object) -> None:
    parent = await objects.make("parent")
    child = await objects.make("child", parent)
    await objects.make("grandchild", child)
    assert (await objects.delete("parent", **options))["status"] == "Success"
    await objects.gone("parent", "child", "grandchild")


@pytest.mark.parametrize("options", [{"propagationPolicy": "Orphan"}, {"orphanDependents": True}])
async def test_orphaned_dependents_stay_without_the_owner_reference(objects: Objects, options: Object) -> None:
    parent = await objects.make("parent")
    await objects.make("child", parent)
    begun = await objects.delete("parent", **options)
    assert begun["metadata"]["finalizers"] == ["orphan"]
    await objects.gone("parent")
    child = await objects.get("child")
    assert child is not None
    assert "ownerReferences" not in child["metadata"]
    assert "deletionTimestamp" not in child["metadata"]


async def test_foreground_deletion_waits_for_blocking_dependents(objects: Objects) -> None:
    parent = await objects.make("parent")
    await objects.make("free", parent)
    await objects.make("blocking", {**parent, "blockOwnerDeletion": True}, finalizers=[HOLD])
    begun = await objects.delete("parent", propagationPolicy="Foreground")
    assert begun["metadata"]["finalizers"] == ["foregroundDeletion"]
    waiting = await objects.get("parent")
    assert waiting is not None
    await objects.patch("blocking", finalizers=None)
    await objects.gone("parent", "blocking", "free")


async def test_a_dependent_stays_while_any_of_its_owners_exists(objects: Objects) -> None:
    first, second = await objects.make("first"), await objects.make("second")
    await objects.make("shared", first, second)
    await objects.delete("first")
    await objects.owned_by("shared", second)
    await objects.delete("second")
    await objects.gone("shared")


async def test_a_dependent_of_a_nonexistent_owner_is_deleted(objects: Objects) -> None:
    parent = await objects.make("parent")
    await objects.make("misled", {**parent, "uid": "11111111-1111-1111-1111-111111111111"})
    await objects.make("alone", {**parent, "name": "missing"})
    await objects.gone("misled", "alone")
    assert await objects.get("parent")


async def test_a_dependent_of_an_owner_of_unknown_kind_stays(objects: Objects) -> None:
    parent = await objects.make("parent")
    await objects.make("careful", {**parent, "apiVersion": "unknown.example.com/v1", "kind": "Unknown"})
    # Processed after the first, so its deletion proves that the first was examined and kept.
    await objects.make("alone", {**parent, "name": "missing"})
    await objects.gone("alone")
    assert await objects.get("careful")


async def test_an_owner_may_be_cluster_scoped(objects: Objects) -> None:
    node = await objects.make("garbage-test", path="/api/v1/nodes")
    await objects.make("child", node)
    await objects.delete("garbage-test", path="/api/v1/nodes")
    await objects.gone("child")


async def test_circular_owners_are_deleted_together(objects: Objects) -> None:
    parent = await objects.make("parent")
    child = await objects.make("child", {**parent, "blockOwnerDeletion": True})
    await objects.patch("parent", ownerReferences=[{**child, "blockOwnerDeletion": True}])
    await objects.delete("parent", propagationPolicy="Foreground")
    await objects.gone("parent", "child")
