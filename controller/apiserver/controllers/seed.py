"""Create the initial namespaces and CRDs, and keep the registry of resources in sync with the stored CRDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.apiserver import times
from controller.apiserver.kinds import definitions
from controller.apiserver.kinds.core import DEFINITIONS, EVENTS, NAMESPACES, SERVICES
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Change, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs

Object = dict[str, Any]
MESSAGE_LENGTH = 1024
OPTIONS = WriteOptions(manager="edge-controller")
# Clients look here for the API; the address is the first one of Kubernetes' default Service range.
API_SERVICE = {
    "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"],
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
    },
}


def serve_definitions(store: Store, registry: Registry) -> None:
    """Serve the kinds of the stored CRDs, now and after each change of a CRD."""

    def define(change: Change | None) -> None:
        if change is None or change.key.resource == DEFINITIONS.key:
            registry.define(store.select(DEFINITIONS.key, ""))

    define(None)
    store.attach(define)


async def create_defaults(store: Store, namespaces: Iterable[str], crds: Sequence[Object]) -> None:
    """Create missing namespaces and create or update the given CRDs. Leaves custom resources alone."""
    verbs = Verbs(store)
    for name in namespaces:
        if store.get(ResourceRef(NAMESPACES, "", name).key) is None:
            await verbs.create(ResourceRef(NAMESPACES, ""), {"metadata": {"name": name}}, OPTIONS)
    if store.get(ResourceRef(SERVICES, "default", "kubernetes").key) is None:
        await verbs.create(ResourceRef(SERVICES, "default"), API_SERVICE, OPTIONS)
    for definition in crds:
        ref = ResourceRef(DEFINITIONS, "", definition["metadata"]["name"])
        current = store.get(ref.key)
        if current is None:
            await verbs.create(ref, definition, OPTIONS)
        # Not if it changes nothing: to validate and compile all of them takes longer than the rest of a start.
        elif current["spec"] != definitions.with_defaults(definition["spec"]):
            # Only the spec, so that labels and annotations of others stay.
            await verbs.update(ref, {**current, "spec": definition["spec"]}, OPTIONS)


async def record_event(store: Store, namespace: str, subject: Mapping[str, str], reason: str, message: str) -> None:
    """Record a warning Event about this API on the subject; works on a full disk, too."""
    now = times.now()
    ref = ResourceRef(EVENTS, namespace if subject["kind"] == "Namespace" else "default")
    body = {
        "metadata": {"generateName": "api-", "namespace": ref.namespace},
        "involvedObject": {**subject, "namespace": ref.namespace},
        "reason": reason,
        "message": message[:MESSAGE_LENGTH],
        "type": "Warning",
        "source": {"component": "edge-controller"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    await Verbs(store).create(ref, body, replace(OPTIONS, necessary=True))
