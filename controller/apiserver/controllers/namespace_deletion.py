"""Finish the deletion of namespaces and CRDs: delete their content first, then themselves.

Works like Kubernetes' namespace and CRD-finalizing controllers. It follows the store, so the next start finishes what a
crash interrupted.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from controller.apiserver import failures
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.kinds import definitions
from controller.apiserver.kinds.core import DEFINITIONS, NAMESPACES
from controller.apiserver.kinds.resources import Registry, Resource, as_stored
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Change, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs

Object = dict[str, Any]
logger = logging.getLogger(__name__)


class NamespaceDeletion:
    """Deletes namespaces and CRDs that are marked for deletion. The caller must run ``controller``."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._verbs = Verbs(store)
        self.controller = control_loop("delete namespaces and kinds", self._sweep)
        store.attach(self._on_change)

    def _on_change(self, change: Change) -> None:
        marked = "deletionTimestamp" in change.object["metadata"]
        of_interest = marked and change.key.resource in (NAMESPACES.key, DEFINITIONS.key)
        # Any deletion may be the last one in a namespace or kind that is being deleted.
        if of_interest or change.type == "DELETED":
            self.controller.trigger()

    async def _sweep(self) -> None:
        for resource in (NAMESPACES, DEFINITIONS):
            for item in self._store.select(resource.key, ""):
                if "deletionTimestamp" in item["metadata"]:
                    await self._end(resource, item["metadata"]["name"])

    async def _end(self, resource: Resource, name: str) -> None:
        content = self._content(resource, name)
        for ref in content:
            with contextlib.suppress(failures.NotFound):
                await self._verbs.delete(ref, Deletion(), WriteOptions())
        # What has finalizers of others is only marked by now; its removal triggers the next sweep.
        if self._content(resource, name):
            return
        with contextlib.suppress(failures.NotFound):
            await self._verbs.release(ResourceRef(resource, "", name), _released)
            logger.info("Deleted the %s %s after its content", resource.singular, name)

    def _content(self, resource: Resource, name: str) -> list[ResourceRef]:
        if resource is NAMESPACES:
            # From the definitions: a kind without a served version has objects as well.
            kinds = (*map(as_stored, self._store.select(DEFINITIONS.key, "")), *self._registry.all())
            # One resource per stored collection: versions, and the two groups of Events, share one.
            inside = {kind.key: kind for kind in kinds if kind.namespaced}.values()
            return [ref for kind in inside for ref in self._refs(kind, name)]
        definition = self._store.get(ResourceRef(resource, "", name).key)
        return self._refs(as_stored(definition), "") if definition else []

    def _refs(self, resource: Resource, namespace: str) -> list[ResourceRef]:
        found = [item["metadata"] for item in self._store.select(resource.key, namespace)]
        return [ResourceRef(resource, metadata.get("namespace", ""), metadata["name"]) for metadata in found]


def _released(item: Object) -> Object:
    """Remove the server's own finalizers."""
    metadata = dict(item["metadata"])
    finalizers = [name for name in metadata.pop("finalizers", ()) if name != definitions.CLEANUP]
    result = {**item, "metadata": {**metadata, "finalizers": finalizers} if finalizers else metadata}
    if item["kind"] != "Namespace":
        return result
    held = [name for name in (item.get("spec") or {}).get("finalizers") or () if name != "kubernetes"]
    return {**result, "spec": {"finalizers": held} if held else {}}
