"""Garbage collection: dependents whose owners are gone, and owners that wait for their dependents.

Works like Kubernetes' garbage collector (Kubernetes documentation: garbage collection). All its state is in the
objects - ownerReferences, the finalizers ``orphan`` and ``foregroundDeletion`` - so a restart loses nothing. It leaves
dependents with an owner of an unknown kind alone, since that owner may exist.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from controller.apiserver import failures
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.controllers.ownership import Ownership, references
from controller.apiserver.kinds.core import DEFINITIONS
from controller.apiserver.kinds.resources import Registry, Resource
from controller.apiserver.objects.deletions import FOREGROUND, ORPHAN, Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Change, Key, Store
from controller.apiserver.verbs.writing import MERGE_PATCH, ResourceRef, Verbs

Object = dict[str, Any]
logger = logging.getLogger(__name__)

COLLECTOR = WriteOptions(manager="edge-controller")


class Owners(NamedTuple):
    """The owner references of one object by the state of the owners."""

    solid: list[Object]  # exist and are not being deleted in the foreground
    waiting: list[Object]  # being deleted in the foreground: wait for their dependents
    gone: list[Object]


class GarbageCollector:
    """The garbage collector of a store. The caller must run ``controller``."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._verbs = Verbs(store)
        self._ownership = Ownership()
        self._queue: dict[Key, None] = {}  # an ordered set
        self._gone: set[str] = set()  # uids deleted since the last drain of the queue
        self.controller = control_loop("collect garbage", self._drain)
        self._indexed = False
        store.attach(self._on_change)

    def _index_all(self) -> None:
        for resource in {resource.key: resource for resource in self._registry.all()}.values():
            for item in self._store.select(resource.key, ""):
                metadata = item["metadata"]
                key = Key(resource.key, metadata.get("namespace", ""), metadata["name"])
                self._ownership.add(key, item)
                self._queue[key] = None

    def _on_change(self, change: Change) -> None:
        self._ownership.follow(change)
        if change.type == "DELETED":
            self._gone.add(change.object["metadata"]["uid"])
        self._queue |= dict.fromkeys(self._ownership.touched(change))
        if change.key.resource == DEFINITIONS.key:  # the kind of an owner may have become known
            self._queue |= dict.fromkeys(self._ownership.all_dependents())
        self.controller.trigger()

    async def _drain(self) -> None:
        # Queues every object, so that a start finishes what a crash interrupted.
        if not self._indexed:
            self._index_all()
            self._indexed = True
        while self._queue:
            key = next(iter(self._queue))
            # Before processing: a change during it must queue the object again.
            del self._queue[key]
            try:
                await self._process(key)
            except failures.Failure as failure:
                # Changed or deleted meanwhile: it is in the queue again. Rejected: there is nothing to do about it.
                logger.debug("Garbage collection skips %s for now: %s", key, failure)
            except Exception:
                self._queue[key] = None  # behind the others: it must not stop them
                raise
        # Only now, when no dependent of these owners is left in the queue.
        self._gone.clear()

    async def _process(self, key: Key) -> None:
        item, resource = self._store.get(key), self._registry.by_storage_key(key.resource)
        if item is None or resource is None:
            return
        ref = ResourceRef(resource, key.namespace, key.name)
        finalizers = item["metadata"].get("finalizers") or ()
        ends = "deletionTimestamp" in item["metadata"]
        if ends and ORPHAN in finalizers:
            await self._orphan(ref, item)
        elif ends and FOREGROUND in finalizers:
            await self._await_dependents(ref, item)
        elif references(item) and not ends:
            await self._process_dependent(ref, item)

    async def _orphan(self, ref: ResourceRef, owner: Object) -> None:
        """Remove the owner from its dependents' references, then remove its ``orphan`` finalizer."""
        uid = owner["metadata"]["uid"]
        for key in self._ownership.dependents(uid):
            resource, item = self._registry.by_storage_key(key.resource), self._store.get(key)
            if resource is not None and item is not None:
                kept = [reference for reference in references(item) if reference["uid"] != uid]
                await self._set(ResourceRef(resource, key.namespace, key.name), item, "ownerReferences", kept)
        await self._remove_finalizer(ref, owner, ORPHAN)

    async def _await_dependents(self, ref: ResourceRef, owner: Object) -> None:
        """Queue the blocking dependents of an owner; remove its finalizer once there are none."""
        uid = owner["metadata"]["uid"]
        blocking = [key for key in self._ownership.dependents(uid) if _blocks(self._store.get(key), uid)]
        if not blocking:
            await self._remove_finalizer(ref, owner, FOREGROUND)
        for key in blocking:
            # A dependent that is gone counts as being deleted, as its owner is.
            if "deletionTimestamp" not in (self._store.get(key) or owner)["metadata"]:
                self._queue[key] = None

    async def _process_dependent(self, ref: ResourceRef, item: Object) -> None:
        """Delete a dependent without a solid owner; otherwise drop the owners that are gone from its references."""
        found = self._owners(ref, item)
        if found is None or not (found.gone or found.waiting):
            return
        if found.solid:
            await self._set(ref, item, "ownerReferences", found.solid)
            return
        metadata = item["metadata"]
        dependents = self._ownership.dependents(metadata["uid"])
        if found.waiting and any(_waits(self._store.get(key)) for key in dependents):
            # A cycle of owners: unblock it, so that one of them can be deleted first.
            free = [{**reference, "blockOwnerDeletion": False} for reference in references(item)]
            await self._set(ref, item, "ownerReferences", free)
            return
        policy = "Foreground" if found.waiting and dependents else None
        # Only if it is unchanged: it may have another owner by now.
        await self._verbs.delete(ref, Deletion(metadata["uid"], metadata["resourceVersion"], policy), COLLECTOR)

    def _owners(self, ref: ResourceRef, item: Object) -> Owners | None:
        """Classify the owners; None while the kind of one is unknown, since that owner may exist."""
        found = Owners([], [], [])
        for reference in references(item):
            resource = self._kind(reference)
            # Its deletion was seen, which is certain even if its kind is no longer served.
            if reference["uid"] in self._gone:
                found.gone.append(reference)
            # A cluster-scoped object cannot have a namespaced owner; Kubernetes never collects it either.
            elif resource is None or (resource.namespaced and not ref.resource.namespaced):
                return None
            else:
                owner = self._store.get(ResourceRef(resource, ref.namespace, reference["name"]).key)
                there = owner is not None and owner["metadata"]["uid"] == reference["uid"]
                (found.gone if not there else found.waiting if _waits(owner) else found.solid).append(reference)
        return found

    def _kind(self, reference: Object) -> Resource | None:
        # Not by version: the object is the same in each, and the referenced one may no longer be served.
        group = reference["apiVersion"].rpartition("/")[0]
        return next((r for r in self._registry.all() if (r.group, r.kind) == (group, reference["kind"])), None)

    async def _remove_finalizer(self, ref: ResourceRef, item: Object, finalizer: str) -> None:
        finalizers = [name for name in item["metadata"]["finalizers"] if name != finalizer]
        await self._set(ref, item, "finalizers", finalizers)

    async def _set(self, ref: ResourceRef, item: Object, field: str, value: list[Any]) -> None:
        """Set a metadata field if the object is unchanged; a changed one is in the queue again."""
        metadata = {"uid": item["metadata"]["uid"], "resourceVersion": item["metadata"]["resourceVersion"]}
        patch = {"metadata": {**metadata, field: value or None}}
        await self._verbs.patch(ref, patch, MERGE_PATCH, COLLECTOR)


def _waits(item: Object | None) -> bool:
    """Whether an object is being deleted in the foreground."""
    metadata = item["metadata"] if item else {}
    return "deletionTimestamp" in metadata and FOREGROUND in (metadata.get("finalizers") or ())


def _blocks(dependent: Object | None, owner: str) -> bool:
    found = references(dependent) if dependent else []
    return any(reference["uid"] == owner and reference.get("blockOwnerDeletion") for reference in found)
