"""The verbs: get, list, create, update, patch, delete, deletecollection - on any resource."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from controller.apiserver import failures, objects, patches, selectors, tables
from controller.apiserver.resources import CORE, Registry, Resource
from controller.apiserver.store import Key, Store

Object = dict[str, Any]

NAMESPACES = next(r for r in CORE if r.plural == "namespaces")
DEFINITIONS = next(r for r in CORE if r.plural == "customresourcedefinitions")


class Verbs:
    """The operations of the API on one store. Raises failures.Failure."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object."""
        found = self._store.get(_key(resource, namespace, name))
        if found is None:
            raise failures.not_found(resource, name)
        return _as(resource, found)

    def select(self, resource: Resource, namespace: str, label: str, field: str) -> list[Object]:
        """The objects that the selectors choose."""
        matches = predicate(resource, label, field)
        return [_as(resource, item) for item in self._store.select(resource.key, namespace) if matches(item)]

    async def create(self, resource: Resource, namespace: str, body: Object, *, dry: bool) -> tuple[Object, list[str]]:
        """Create; returns the object and its unknown fields."""
        item, unknown = objects.prepare_create(resource, body, namespace)
        name = item["metadata"]["name"]
        if resource.namespaced:
            self._check_namespace(namespace)
        if resource is NAMESPACES:
            item |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        if resource is DEFINITIONS:
            item = with_definition_status(item)

        def change(current: Object | None) -> Object:
            if current is not None:
                raise failures.already_exists(resource, name)
            return item

        return await self._write(resource, namespace, name, change, dry), unknown

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        make: Callable[[Object], Object],
        subresource: str,
        *,
        dry: bool,
    ) -> tuple[Object, list[str]]:
        """Replace by what ``make`` gives for the current object; returns the object and its unknown fields."""
        unknown: list[str] = []

        def change(current: Object | None) -> Object | None:
            if current is None:
                raise failures.not_found(resource, name)
            item, gone = objects.prepare_update(
                resource, current, make(_as(resource, current)), subresource=subresource
            )
            unknown[:] = gone
            if resource is DEFINITIONS:
                item = with_definition_status(item)
            return None if _is_done(item) else item

        return await self._write(resource, namespace, name, change, dry), unknown

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: Any, kind: str, subresource: str, *, dry: bool
    ) -> tuple[Object, list[str]]:
        """Patch by content type."""

        def make(current: Object) -> Object:
            try:
                if kind == "application/json-patch+json":
                    return patches.apply_json(current, patch)
            except patches.PatchError as error:
                raise failures.Failure(
                    422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
                ) from error
            merged: Object = patches.merge(current, patch)
            return merged

        return await self.update(resource, namespace, name, make, subresource, dry=dry)

    async def delete(self, resource: Resource, namespace: str, name: str, options: Object, *, dry: bool) -> Object:
        """Delete, or mark for deletion while finalizers hold the object."""
        preconditions = options.get("preconditions") or {}

        def change(current: Object | None) -> Object | None:
            if current is None:
                raise failures.not_found(resource, name)
            metadata = current["metadata"]
            for field in ("uid", "resourceVersion"):
                if preconditions.get(field) and preconditions[field] != metadata[field]:
                    raise failures.precondition(resource, name, field, preconditions[field], metadata[field])
            if not metadata.get("finalizers"):
                return None
            if "deletionTimestamp" in metadata:
                return current
            marked = {**metadata, "deletionTimestamp": objects.now(), "deletionGracePeriodSeconds": 0}
            if resource.has_generation:
                marked["generation"] = metadata.get("generation", 0) + 1
            return {**current, "metadata": marked}

        if resource is NAMESPACES and not dry:
            await self._empty_namespace(name)
        if resource is DEFINITIONS and not dry:
            await self._drop_objects_of(name)
        return await self._write(resource, namespace, name, change, dry)

    async def _write(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object | None], Object | None], dry: bool
    ) -> Object:
        key = _key(resource, namespace, name)
        if dry:
            current = self._store.get(key)
            return _as(resource, change(current) or current or {})
        written, _ = await self._store.write(key, change)
        if resource is DEFINITIONS:
            self.refresh_definitions()
        return _as(resource, written)

    def refresh_definitions(self) -> None:
        """Serve what the stored CustomResourceDefinitions say."""
        self._registry.define(self._store.select(DEFINITIONS.key, ""))

    def _check_namespace(self, namespace: str) -> None:
        found = self._store.get(_key(NAMESPACES, "", namespace))
        if found is None:
            raise failures.not_found(NAMESPACES, namespace)

    async def _empty_namespace(self, namespace: str) -> None:
        for resource in self._registry.all():
            if resource.namespaced:
                await self._delete_all(resource, namespace)

    async def _drop_objects_of(self, definition: str) -> None:
        for resource in self._registry.all():
            if resource.key == definition:
                await self._delete_all(resource, "")

    async def _delete_all(self, resource: Resource, namespace: str) -> None:
        for item in self._store.select(resource.key, namespace):
            metadata = item["metadata"]
            await self.delete(resource, metadata.get("namespace", ""), metadata["name"], {}, dry=False)


def predicate(resource: Resource, label: str, field: str) -> Callable[[Object], bool]:
    """Both selectors as one predicate. Raises failures.Failure when one cannot be read."""
    readers: dict[str, Callable[[Object], str]] = {
        "metadata.name": lambda item: str(item["metadata"]["name"]),
        "metadata.namespace": lambda item: str(item["metadata"].get("namespace", "")),
    }
    readers |= {path: _reader(path) for path in resource.selectable}
    try:
        by_label, by_field = selectors.labels(label), selectors.fields(field, readers)
    except selectors.SelectorError as error:
        raise failures.bad_request(str(error)) from error
    return lambda item: by_label(item) and by_field(item)


def _reader(path: str) -> Callable[[Object], str]:
    def read(item: Object) -> str:
        found = tables.read(item, "." + path)
        return str(found[0]) if found else ""

    return read


def with_definition_status(item: Object) -> Object:
    """A CRD with the conditions that an accepted one has."""
    spec_names = item["spec"]["names"]
    accepted = {**spec_names, "singular": spec_names.get("singular") or spec_names["kind"].lower()}
    accepted["listKind"] = spec_names.get("listKind") or f"{spec_names['kind']}List"
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]
    before = {c["type"]: c for c in item.get("status", {}).get("conditions", ())}
    for condition in conditions:
        condition["lastTransitionTime"] = before.get(condition["type"], {}).get("lastTransitionTime", objects.now())
    stored = [v["name"] for v in item["spec"]["versions"] if v.get("storage")]
    status = {"acceptedNames": accepted, "conditions": conditions, "storedVersions": stored}
    item = copy.deepcopy(item)
    item["spec"]["names"] = accepted
    item["spec"].setdefault("conversion", {"strategy": "None"})
    return {**item, "status": status}


def _key(resource: Resource, namespace: str, name: str) -> Key:
    return Key(resource.key, namespace if resource.namespaced else "", name)


def _as(resource: Resource, item: Object) -> Object:
    """The stored object in the version that was asked for."""
    if item.get("apiVersion") == resource.api_version:
        return item
    return {**item, "apiVersion": resource.api_version}


def _is_done(item: Object) -> bool:
    metadata = item["metadata"]
    return "deletionTimestamp" in metadata and not metadata.get("finalizers")
