"""Which other Runtime wants the interface that one asks to have to itself: pure, from all Runtimes of the node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controller.api import runtimes


def rival(runtime: runtimes.Runtime, bodies: Iterable[Mapping[str, Any]]) -> str:
    """Who it is, for a person; "" for nobody. A parent is never given away, and the older wish comes first."""
    name = runtime.spec.dedicated_interface
    others = [body for body in bodies if not _is_same_device(body, runtime)]
    for body in others:
        spec = body["spec"]
        if any(interface.get("parentInterface") == name for interface in spec.get("interfaces") or ()):
            return f"{name} is a parent of {spec['deviceId']}: give that another or this one"
    older = [body for body in others if _age(body["metadata"]) < _own_age(runtime)]
    for body in older:
        spec = body["spec"]
        if spec.get("dedicatedInterface") == name and spec.get("desiredState", "Running") == "Running":
            return f"{name} is wanted by {spec['deviceId']}, which is older: stop that or give another interface"
    return ""


def _is_same_device(body: Mapping[str, Any], runtime: runtimes.Runtime) -> bool:
    """Whether it is the Runtime itself, or another one of its deviceId: only one of them ever runs."""
    described, own = body["metadata"], runtime.metadata
    named = (described.get("namespace", ""), body["spec"]["deviceId"])
    return bool(described["uid"] == own.uid or named == (own.namespace, runtime.spec.device_id))


def _age(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return metadata.get("creationTimestamp", ""), metadata["uid"]


def _own_age(runtime: runtimes.Runtime) -> tuple[str, str]:
    return runtime.metadata.creation_timestamp or "", runtime.metadata.uid
