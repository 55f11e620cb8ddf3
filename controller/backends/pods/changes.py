"""Merges two watches into one stream of changes: our pods, and the warning events about them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from controller.backends.base import Contact, Identity
from controller.backends.pods import naming
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, Listing, WatchEvent
from controller.machinery.informer import Informer
from controller.machinery.pending import PendingSet

_WARNINGS = "involvedObject.kind=Pod,type=Warning"


def pods(api: ApiClient, install_id: str, *, node: str = "", namespace: str = "") -> Informer:
    """An informer of the pods of an installation, on one node or all, in one namespace or all."""
    labels = naming.selector(naming.install_labels(install_id))
    place = f"spec.nodeName={node}" if node else ""
    return Informer(api, core_kinds.PODS, namespace=namespace, label_selector=labels, field_selector=place)


class Changes:
    """Follows the pods of one installation."""

    def __init__(self, api: ApiClient, install_id: str) -> None:
        self._pods = pods(api, install_id)
        # Events carry no labels of ours, so all warnings about pods are followed.
        self._warnings = Informer(api, core_kinds.EVENTS, field_selector=_WARNINGS)
        self._install_id = install_id
        self._known: dict[str, Identity] = {}  # by uid of the pod, to look up the runtime of an event

    def stream(self) -> AsyncGenerator[Identity | Contact]:
        """Yield identities forever, and CONNECTED whenever changes may have been missed.

        Raises the exception that ends one of the watches.
        """
        pending = PendingSet[Identity | Contact]()
        return pending.filled_by(self._follow_pods(pending), self._follow_warnings(pending))

    async def _follow_pods(self, pending: PendingSet[Identity | Contact]) -> None:
        async for change in self._pods.changes():
            if isinstance(change, Listing):
                # Pods that disappeared while the watch was lost are in no event.
                self._known.clear()
                pending.add(Contact.CONNECTED)
            for identity in self._identities(change):
                pending.add(identity)

    async def _follow_warnings(self, pending: PendingSet[Identity | Contact]) -> None:
        """Events only explain the state of a pod that is watched anyway."""
        async for change in self._warnings.changes():
            for event in change.objects:
                if identity := self._known.get(str((event.get("involvedObject") or {}).get("uid"))):
                    pending.add(identity)

    def _identities(self, change: Listing | WatchEvent) -> list[Identity]:
        """The runtimes of the changed pods."""
        is_gone = isinstance(change, WatchEvent) and change.type == "DELETED"
        found = []
        for pod in change.objects:
            if identity := naming.identity_of(pod, self._install_id):
                found.append(identity)
                self._known[str(pod["metadata"].get("uid"))] = identity
            if is_gone:
                self._known.pop(str(pod["metadata"].get("uid")), None)
        return found
