"""Subresources: status, scale, and the finalizers of a namespace. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Subresource:
    """A path below an object, with its own verbs."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    writes: str = ""  # the field that only this subresource writes
    kind: tuple[str, str, str] | None = None  # group, version and kind of its bodies; None: those of the object
    paths: Object | None = None  # of a scale: JSONPaths of the values in the object


STATUS = Subresource("status", writes="status")
FINALIZE = Subresource("finalize", ("update",), writes="spec")


def scale(paths: Object) -> Subresource:
    """The scale of a custom resource (API reference: CustomResourceSubresourceScale)."""
    return Subresource("scale", kind=("autoscaling", "v1", "Scale"), paths=paths)
