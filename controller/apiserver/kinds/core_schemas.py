"""Schemas of Kubernetes' own kinds, built from core_types, for validation, pruning and merging, and for OpenAPI.

The structural form nests the schemas of types, even recursively (a JSON schema contains schemas); the OpenAPI form uses
references.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core_descriptions import DESCRIPTIONS
from controller.apiserver.kinds.core_types import Field

Object = dict[str, Any]
Reference = Callable[[str], Object]

V2_ROOT = "#/definitions/"
V3_ROOT = "#/components/schemas/"
ANYTHING: Object = {"x-kubernetes-preserve-unknown-fields": True}
SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32", "minimum": -(1 << 31), "maximum": (1 << 31) - 1},
    "int64": {"type": "integer", "format": "int64", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "float64": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "quantity": {"x-kubernetes-int-or-string": True},
    "intorstring": {"x-kubernetes-int-or-string": True},
    "json": ANYTHING,
    "fields": ANYTHING,
    "raw": ANYTHING,
}
UNPUBLISHED = ("nullable", "minimum", "maximum")
# Types that are a schema or another value, such as a boolean.
SCHEMA_UNIONS = ("schemaorbool", "schemaorarray", "schemaorstrings")


@cache
def structural() -> dict[str, Object]:
    """The nested schemas of all types, by name."""
    # All names first, filled afterwards: types refer to each other in circles, such as JSONSchemaProps to itself.
    found = {name: _empty(name) | {"nullable": True} for name in core_types.types()}
    for name, schema in found.items():
        _fill(schema, name, found.__getitem__)
    return found


@cache
def metadata(*, merged: bool) -> Object:
    """The structural schema of the metadata of any object; unless it is to be merged, without types of lists.

    Whoever decodes metadata takes two owners with one uid: validation has a better message.
    """
    schema = structural()["meta.ObjectMeta"]
    # Not atomic, as Kubernetes has it: release 0.1 recorded managers of the single fields of an owner.
    owner = {k: v for k, v in structural()["meta.OwnerReference"].items() if k != "x-kubernetes-map-type"}
    # Not by its type: malformed entries are ignored when they are read, instead of refusing the object.
    managed = {"type": "array", "nullable": True, "items": {"type": "object", **ANYTHING}}
    properties = {**schema["properties"], "managedFields": managed}
    properties["ownerReferences"] = {**properties["ownerReferences"], "items": owner}
    if not merged:
        properties |= {name: _without_list_type(properties[name]) for name in ("ownerReferences", "finalizers")}
    return {**schema, "properties": properties}


def _without_list_type(schema: Object) -> Object:
    return {name: part for name, part in schema.items() if name != "x-kubernetes-list-type"}


def referring(name: str, root: str) -> Object:
    """The schema of a type with references to other types below ``root``, as in an OpenAPI document."""
    schema = _empty(name)
    _fill(schema, name, lambda inner: {"$ref": root + published(inner)})
    for field, part in schema["properties"].items():
        schema["properties"][field] = _described(_plain(part), f"{name}.{field}", root)
    if not schema["properties"]:
        del schema["properties"]  # clients drop an empty map: keep the document equal after a round trip
    return _described(schema, name, root)


def _described(schema: Object, what: str, root: str) -> Object:
    """The schema with its description. Version 3 ignores keywords next to ``$ref``, which is wrapped in ``allOf``."""
    text = DESCRIPTIONS.get(what)
    if text is None:
        return schema
    if "$ref" in schema and root != V2_ROOT:
        return {"allOf": [schema], "description": text}
    return {**schema, "description": text}


def _plain(schema: Object) -> Object:
    """The schema as Kubernetes publishes its own kinds: without what only their Go types say."""
    shown = {name: part for name, part in schema.items() if name not in UNPUBLISHED}
    for name in {"items", "additionalProperties"} & shown.keys():
        shown[name] = _plain(shown[name])
    return shown


def names_within(name: str) -> set[str]:
    """The names of the type and of all types it refers to, directly or indirectly."""
    found: set[str] = set()
    wanted = [name]
    while wanted:
        current = wanted.pop()
        if current not in found:
            found.add(current)
            wanted += [inner for field in core_types.types()[current].fields if (inner := _inner(field.kind))]
    return found


def published(name: str) -> str:
    """The name of a type in OpenAPI documents."""
    package, _, kind = name.partition(".")
    homes = {
        "meta": "io.k8s.apimachinery.pkg.apis.meta.v1",
        "extensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    }
    return f"{homes.get(package, f'io.k8s.api.{package}.v1')}.{kind}"


def _empty(name: str) -> Object:
    atomic = {"x-kubernetes-map-type": "atomic"} if core_types.types()[name].atomic else {}
    return {"type": "object", "properties": {}, **atomic}


def _fill(schema: Object, name: str, refer: Reference) -> None:
    for field in core_types.types()[name].fields:
        schema["properties"][field.name] = _of_field(field, refer)


def _of_field(field: Field, refer: Reference) -> Object:
    schema = dict(_of_kind(field.kind, refer))
    if "list" in field.marks:
        schema["x-kubernetes-list-type"] = field.marks["list"]
    if "keys" in field.marks:
        schema["x-kubernetes-list-map-keys"] = field.marks["keys"].split(",")
    if "map" in field.marks:
        schema["x-kubernetes-map-type"] = field.marks["map"]
    if "merge" in field.marks:
        schema["x-kubernetes-patch-strategy"] = "merge"
        schema["x-kubernetes-patch-merge-key"] = field.marks["merge"]
    return schema


def _of_kind(kind: str, refer: Reference) -> Object:
    kind = kind.removeprefix("*")
    if kind.startswith("[]"):
        # Nullable: Go writes a nil slice as null unless the field says omitempty.
        return {"type": "array", "nullable": True, "items": _of_kind(kind.removeprefix("[]"), refer)}
    if kind.startswith("map[string]"):
        values = _of_kind(kind.removeprefix("map[string]"), refer)
        return {"type": "object", "nullable": True, "additionalProperties": values}
    # A structural schema cannot say "a schema or a boolean"; soundness.py validates these.
    if kind in SCHEMA_UNIONS:
        return ANYTHING
    return {**SCALARS[kind], "nullable": True} if kind in SCALARS else refer(kind)


def _inner(kind: str) -> str:
    """The type that a field's kind refers to, "" for a scalar."""
    name = kind.removeprefix("*").removeprefix("[]").removeprefix("map[string]").removeprefix("[]")
    return name if "." in name else ""
