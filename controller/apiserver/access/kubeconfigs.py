"""Kubeconfigs: the host's own, and those issued to users (client-go: api/v1 Config)."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]


def of(cluster: Object, user: str, identity: tuple[bytes, bytes], namespace: str) -> Object:
    """A kubeconfig with one cluster, one user with certificate and key, and a default namespace."""
    certificate, key = (base64.b64encode(pem).decode() for pem in identity)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edge", "cluster": cluster}],
        "users": [{"name": user, "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "edge", "context": {"cluster": "edge", "user": user, "namespace": namespace}}],
        "current-context": "edge",
    }
