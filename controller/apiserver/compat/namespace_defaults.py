"""Create the ServiceAccount ``default`` and the ConfigMap ``kube-root-ca.crt`` in every namespace, as clients expect.

Works like Kubernetes' serviceaccount and root-ca-cert-publisher controllers. It follows the store and restores what
others delete or change.
"""

from __future__ import annotations

import contextlib
from typing import Any

from controller.apiserver import failures
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.kinds.core import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Change, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs

Object = dict[str, Any]

ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
PUBLISHER = WriteOptions(manager="edge-controller")
ABOUT = {"kubernetes.io/description": "The certificate of the authority that signs for this API, for its clients."}


class NamespaceDefaults:
    """Ensures the defaults of all namespaces. The caller must run ``controller``."""

    def __init__(self, store: Store, ca: str) -> None:
        self._store = store
        self._verbs = Verbs(store)
        self._data = {"ca.crt": ca}
        self._pending = {item["metadata"]["name"] for item in store.select(NAMESPACES.key, "")}
        self.controller = control_loop("create the defaults of namespaces", self._ensure_pending)
        store.attach(self._on_change)

    async def publish(self, ca: str) -> None:
        """Publish the renewed certificate of the authority to all namespaces."""
        self._data = {"ca.crt": ca}
        for namespace in self._store.select(NAMESPACES.key, ""):
            await self._ensure_namespace(namespace["metadata"]["name"])

    def _on_change(self, change: Change) -> None:
        key = change.key
        if key.resource == NAMESPACES.key:
            self._pending.add(key.name)
        elif (key.resource, key.name) in ((SERVICE_ACCOUNTS.key, ACCOUNT), (CONFIG_MAPS.key, ROOT_CA)):
            self._pending.add(key.namespace)
        else:
            return
        self.controller.trigger()

    async def _ensure_pending(self) -> None:
        # Over a copy, since changes during the awaits add to the set.
        for namespace in sorted(self._pending):
            self._pending.discard(namespace)  # before, since it may change meanwhile
            try:
                await self._ensure_namespace(namespace)
            except Exception:
                self._pending.add(namespace)
                raise

    async def _ensure_namespace(self, namespace: str) -> None:
        """Ignores failures: nothing can be created in a namespace that is terminating or gone, nor is it needed."""
        with contextlib.suppress(failures.Failure):
            await self._ensure(ResourceRef(SERVICE_ACCOUNTS, namespace, ACCOUNT), {})
            await self._ensure(ResourceRef(CONFIG_MAPS, namespace, ROOT_CA), {"data": self._data})

    async def _ensure(self, ref: ResourceRef, content: Object) -> None:
        found = self._store.get(ref.key)
        if found is None:
            metadata = {"name": ref.name, **({"annotations": ABOUT} if content else {})}
            await self._verbs.create(ref._replace(name=""), {"metadata": metadata, **content}, PUBLISHER)
        elif any(found.get(field) != value for field, value in content.items()):
            # With the resourceVersion read: if it changed meanwhile, that change has queued the namespace again.
            await self._verbs.update(ref, {**found, **content}, PUBLISHER)
