"""The scale of a custom resource: an autoscaling/v1 view of three of its fields (API reference: Scale)."""

from __future__ import annotations

from functools import partial
from typing import Any

from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import tables
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.schemas import structural
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.schemas.structural import PRESERVE
from controller.apiserver.verbs import writing
from controller.apiserver.verbs.writing import ResourceRef, Verbs, Written

Object = dict[str, Any]

API_VERSION, KIND = "autoscaling/v1", "Scale"
MERGED = {writing.STRATEGIC_PATCH: writing.MERGE_PATCH}
SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


_PART: Object = {"type": "object", "nullable": True, PRESERVE: True}
_SHAPE: Object = {"type": "object", "properties": {"metadata": _PART, "spec": _PART}}
REPLICAS = "spec.replicas"
GUARDS = ("name", "uid", "resourceVersion")


class Scales:
    """Writes scales by rewriting the whole object. Raises failures.Failure."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    def of(self, resource: Resource, item: Object) -> Object:
        """The scale of a stored object."""
        return of(resource, item)

    async def update(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        """Replace the scale with the body."""
        return await self._verbs.change(ref, partial(taken, ref.resource, scale=body), options)

    async def patch(self, ref: ResourceRef, patch: Any, kind: str, options: WriteOptions) -> Written:
        """Patch by content type; a scale has no lists, so a strategic merge patch equals a merge patch."""
        return await self._verbs.change(ref, partial(_patched, ref.resource, patch, MERGED.get(kind, kind)), options)


def _patched(resource: Resource, patch: Any, kind: str, item: Object) -> Object:
    # 0 stands in for a missing count, since a patch may be what sets it.
    return taken(resource, item, writing.patched(resource, of(resource, item, missing=0), patch, kind))


def of(resource: Resource, item: Object, missing: int | None = None) -> Object:
    """The scale of an object. Raises failures.Failure (422) if it has no replica count and ``missing`` gives none."""
    paths = _paths(resource)
    replicas = tables.read(item, paths["specReplicasPath"]) or ([] if missing is None else [missing])
    if not replicas:
        why = "Required value: the object has no replica count; set one"
        cause = Cause("FieldValueRequired", why, json_path(paths))
        raise failures.invalid(resource, item["metadata"]["name"], [cause])
    status: Object = {"replicas": next(iter(tables.read(item, paths["statusReplicasPath"])), 0)}
    if (path := paths.get("labelSelectorPath")) and (selector := tables.read(item, path)):
        status["selector"] = selector[0]
    metadata = {name: item["metadata"][name] for name in SHOWN if name in item["metadata"]}
    spec = {"replicas": replicas[0]}
    return {"kind": KIND, "apiVersion": API_VERSION, "metadata": metadata, "spec": spec, "status": status}


def taken(resource: Resource, item: Object, scale: Any) -> Object:
    """The object with the replica count of a scale. Raises failures.Failure (400, 422)."""
    if structural.validate(scale, _SHAPE) or (scale.get("apiVersion"), scale.get("kind")) != (API_VERSION, KIND):
        raise failures.bad_request(f"the body must be a {KIND} of {API_VERSION}")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    name = item["metadata"]["name"]
    # Not isinstance: in Python true is an int.
    if type(replicas) is not int or replicas < 0:
        cause = Cause("FieldValueInvalid", f"Invalid value: {replicas}: should be a non-negative integer", REPLICAS)
        raise failures.invalid(resource, name, [cause])
    # Checked as preconditions by the update: a scale shows the uid and resourceVersion of its object.
    guard = {field: value for field in GUARDS if (value := (scale.get("metadata") or {}).get(field))}
    changed = _written(item, json_path(_paths(resource)).split("."), replicas)
    return {**changed, "metadata": {**changed["metadata"], **guard}}


def json_path(paths: Object) -> str:
    """The path of the desired replica count."""
    return str(paths["specReplicasPath"]).removeprefix(".")


def _paths(resource: Resource) -> Object:
    part = resource.subresource("scale")
    return (part.paths if part else None) or {}


def _written(item: Object, path: list[str], value: int) -> Object:
    name, *rest = path
    held = item.get(name)
    return {**item, name: _written(held if isinstance(held, dict) else {}, rest, value) if rest else value}
