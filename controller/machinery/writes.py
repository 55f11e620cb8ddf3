"""Writes as requests: what they send, without sending it. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from controller.machinery.kinds import Kind


class Write(NamedTuple):
    """One write of a transaction."""

    method: str
    path: str
    body: dict[str, Any]


class Selection(NamedTuple):
    """The objects of a kind, in any namespace, that match a field selector."""

    path: str
    selector: str


def selection(kind: Kind, field_selector: str) -> Selection:
    """Select objects in all namespaces."""
    return Selection(kind.path(""), field_selector)


def creation(kind: Kind, body: dict[str, Any]) -> Write:
    """Create an object in the namespace of its ``metadata``. Only a transaction keeps its status, if it has one."""
    whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
    return Write("POST", kind.path(body["metadata"].get("namespace", "")), whole)


def merge(kind: Kind, name: str, namespace: str, patch: dict[str, Any], subresource: str = "") -> Write:
    """Apply a merge patch (RFC 7396)."""
    return Write("PATCH", kind.path(namespace, name, subresource), patch)
