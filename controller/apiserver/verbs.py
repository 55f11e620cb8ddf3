"""The verbs that write: create, update, patch, apply, delete, deletecollection - on any resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from controller.apiserver import admission, apply, failures, managers, objects, patches, strategic, times
from controller.apiserver.core import NAMESPACES
from controller.apiserver.managers import Manager
from controller.apiserver.options import WriteOptions
from controller.apiserver.resources import Resource
from controller.apiserver.store import Change, Key, Store
from controller.apiserver.structural import Cause

Object = dict[str, Any]
Step = Callable[[Object | None], Object | None]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class Written(NamedTuple):
    """What a write made, for its answer."""

    object: Object
    warnings: list[str]
    type: str  # as in store.Change

    @property
    def created(self) -> bool:
        """Whether the object is new."""
        return self.type == "ADDED"


class Place(NamedTuple):
    """One object of a resource; the name is "" for a collection."""

    resource: Resource
    namespace: str
    name: str = ""

    @property
    def key(self) -> Key:
        """Where it is stored."""
        return Key(self.resource.key, self.namespace if self.resource.namespaced else "", self.name)


class Verbs:
    """The writing operations of the API on one store. Raises failures.Failure and errors.ApiUnavailableError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, place: Place, body: Any, options: WriteOptions) -> Written:
        """Create; the name is in the body."""
        resource = place.resource
        typed, warnings = admission.typed(resource, body, options)
        item = self._new(place, typed, options)
        name = item["metadata"]["name"]

        def change(current: Object | None) -> Object | None:
            if current is not None:
                raise failures.already_exists(resource, name)
            return item

        return await self._write(place._replace(name=name), change, warnings, options)

    async def update(self, place: Place, body: Any, options: WriteOptions) -> Written:
        """Replace by the body."""
        return await self._change(place, lambda _: body, options)

    async def patch(self, place: Place, patch: Any, kind: str, options: WriteOptions) -> Written:
        """Patch by content type."""
        if kind == STRATEGIC_PATCH and place.resource.schema is not None:
            raise failures.unsupported_media((JSON_PATCH, MERGE_PATCH))
        applied = {JSON_PATCH: patches.apply_json, MERGE_PATCH: patches.merge, STRATEGIC_PATCH: strategic.merge}[kind]

        def make(current: Object) -> Object:
            try:
                made: Object = applied(current, patch)
            except patches.PatchError as error:
                raise failures.unreadable_patch(error) from error
            return made

        return await self._change(place, make, options)

    async def apply(self, place: Place, body: Any, options: WriteOptions) -> Written:
        """Server-side apply: creates the object when it is not there."""
        resource = place.resource
        typed, warnings = admission.applied(resource, body, options)
        if typed["metadata"].get("managedFields"):
            raise failures.bad_request("metadata.managedFields must be nil")
        config = _applicable(place, typed, options.subresource)
        manager = Manager(options.manager, managers.APPLY, resource.api_version, options.subresource)

        def change(current: Object | None) -> Object | None:
            if current is None and options.subresource:
                raise failures.not_found(resource, place.name)
            live = shown(resource, current) if current else {}
            try:
                merged, owned = apply.apply(live, config, manager, resource.structure, times.now(), force=options.force)
            except apply.Conflicts as conflicts:
                raise failures.apply_conflict(
                    resource, place.name, apply.message(conflicts), apply.causes(conflicts)
                ) from conflicts
            if current is None:
                return objects.managed(self._new(place, merged, options), owned)
            item = objects.managed(objects.replaced(resource, current, merged, options), owned)
            return None if objects.is_done(item) else item

        return await self._write(place, change, warnings, options)

    async def delete(self, place: Place, wish: Object, options: WriteOptions) -> Written:
        """Delete, or mark for deletion while finalizers hold the object. ``wish``: DeleteOptions."""
        preconditions = wish.get("preconditions") or {}

        def change(current: Object | None) -> Object | None:
            if current is None:
                raise failures.not_found(place.resource, place.name)
            metadata = current["metadata"]
            for field in ("uid", "resourceVersion"):
                if preconditions.get(field) and preconditions[field] != metadata[field]:
                    raise failures.precondition(
                        place.resource, place.name, field, preconditions[field], metadata[field]
                    )
            if "deletionTimestamp" in metadata:
                return current
            ending = place.resource.ending(current)
            return _marked(ending, place.resource) if objects.is_held(ending) else None

        return await self._write(place, change, [], options)

    async def release(self, place: Place, without: Callable[[Object], Object]) -> None:
        """Take what the server itself held a deleted object with; it goes when no one else holds it."""

        def change(current: Object | None) -> Object | None:
            if current is None:
                raise failures.not_found(place.resource, place.name)
            item = without(current)
            return None if objects.is_done(item) else item

        await self._store.write(place.key, change)

    def _new(self, place: Place, item: Object, options: WriteOptions) -> Object:
        resource = place.resource
        if resource.namespaced:
            self._check_namespace(place, item)
        if resource.terminating:
            raise failures.Failure(
                405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating"
            )
        return objects.created(resource, item, place.namespace, options)

    async def _change(self, place: Place, make: Callable[[Object], Object], options: WriteOptions) -> Written:
        resource = place.resource
        warnings: list[str] = []

        def change(current: Object | None) -> Object | None:
            if current is None:
                raise failures.not_found(resource, place.name)
            typed, warnings[:] = admission.typed(resource, make(shown(resource, current)), options)
            item = objects.changed(resource, current, typed, options)
            return None if objects.is_done(item) else item

        return await self._write(place, change, warnings, options)

    async def _write(self, place: Place, change: Step, warnings: list[str], options: WriteOptions) -> Written:
        if options.dry:
            current = self._store.get(place.key)
            made = change(current)
            done = Change(0, place.key, "ADDED" if current is None else "MODIFIED", made or current or {}, current)
        else:
            done = await self._store.write(place.key, change)
        return Written(shown(place.resource, done.object), warnings, done.type)

    def _check_namespace(self, place: Place, item: Object) -> None:
        found = self._store.get(Place(NAMESPACES, "", place.namespace).key)
        if found is None:
            raise failures.not_found(NAMESPACES, place.namespace)
        if "deletionTimestamp" in found["metadata"]:
            message = f"namespace {place.namespace} is being terminated"
            why = f"unable to create new content in namespace {place.namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", message, "metadata.namespace")
            raise failures.forbidden(place.resource, item["metadata"].get("name", ""), why, cause)


def shown(resource: Resource, item: Object) -> Object:
    """The stored object in the version that was asked for, with the defaults that came after it was written."""
    item = resource.leave(item)
    written = item["metadata"].get("resourceVersion")  # none yet in a dry run
    if written and int(written) < resource.defined_at:
        item = admission.refreshed(resource, item)
    return item if item.get("apiVersion") == resource.api_version else {**item, "apiVersion": resource.api_version}


def _marked(item: Object, resource: Resource) -> Object:
    metadata = {**item["metadata"], "deletionTimestamp": times.now(), "deletionGracePeriodSeconds": 0}
    if resource.has_generation:
        metadata["generation"] = metadata.get("generation", 0) + 1
    return {**item, "metadata": metadata}


def _applicable(place: Place, item: Object, subresource: str) -> Object:
    """The part of an applied configuration that this path writes."""
    named = {**item["metadata"], "name": item["metadata"].get("name") or place.name}
    if subresource == "status":
        guard = {key: value for key, value in named.items() if key in ("name", "uid", "resourceVersion")}
        return {"metadata": guard, **({"status": item["status"]} if "status" in item else {})}
    rest = {name: value for name, value in item.items() if name != "status" or not place.resource.has_status}
    return {**rest, "metadata": named}
