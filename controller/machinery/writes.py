"""Writes as requests: what they send, without sending it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from controller.machinery.kinds import Kind


class Write(NamedTuple):
    """One write of a transaction."""

    method: str
    path: str
    body: dict[str, Any]


def creation(kind: Kind, body: dict[str, Any]) -> Write:
    """Create an object in the namespace of its ``metadata``."""
    whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
    return Write("POST", kind.path(body["metadata"].get("namespace", "")), whole)


def merge(kind: Kind, name: str, namespace: str, patch: dict[str, Any], subresource: str = "") -> Write:
    """Apply a merge patch (RFC 7396)."""
    return Write("PATCH", kind.path(namespace, name, subresource), patch)
