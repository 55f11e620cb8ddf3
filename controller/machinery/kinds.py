"""Kinds of objects with their URLs, and the Kubernetes kinds that we use.

API reference: API concepts, resource URIs.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of object and its place in the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Plural with group, the name of its CustomResourceDefinition."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, an object or a subresource; no namespace means all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + scope + f"/{self.plural}" + "".join(f"/{part}" for part in (name, subresource) if part)


NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Kind("", "v1", "nodes", "Node", namespaced=False)
EVENTS = Kind("", "v1", "events", "Event", namespaced=True)
SECRETS = Kind("", "v1", "secrets", "Secret", namespaced=True)
PODS = Kind("", "v1", "pods", "Pod", namespaced=True)
SERVICES = Kind("", "v1", "services", "Service", namespaced=True)
PERSISTENT_VOLUME_CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
STATEFUL_SETS = Kind("apps", "v1", "statefulsets", "StatefulSet", namespaced=True)
CONTROLLER_REVISIONS = Kind("apps", "v1", "controllerrevisions", "ControllerRevision", namespaced=True)
NETWORK_ATTACHMENT_DEFINITIONS = Kind(
    "k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition", namespaced=True
)
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", namespaced=True)
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)
