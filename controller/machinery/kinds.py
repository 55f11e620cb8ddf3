"""What a kind of object is, how its URLs are made, and Kubernetes' own kinds that we use.

API reference: API concepts, resource URIs.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of object: where it lives in the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Plural with group, as its CustomResourceDefinition is called."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, of one object, or of its subresource; no namespace means all of them."""
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
TOKEN_REVIEWS = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
ACCESS_REVIEWS = Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
