"""Schemas of served kinds for OpenAPI documents; v2 supports fewer keywords than a CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver.kinds import core_schemas, core_types
from controller.apiserver.kinds.core_descriptions import DESCRIPTIONS
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.schemas.structural import PRESERVE

Object = dict[str, Any]
Form = Callable[[Object], Object]

API_VERSION = {"type": "string", "description": "APIVersion defines the schema of this object, as GROUP/VERSION."}
KIND = {"type": "string", "description": "Kind is the type of this object, in CamelCase."}
METADATA = DESCRIPTIONS["meta.ObjectMeta"]
INT_OR_STRING = "x-kubernetes-int-or-string"
# Keywords of structural schemas that OpenAPI v2 lacks.
BEYOND_V2 = ("anyOf", "oneOf", "allOf", "not", "nullable", "default")


def name_of(resource: Resource) -> str:
    """The name of the definition of a kind."""
    core = core_types.name_of(resource.api_version, resource.kind)
    if core and not resource.schema:
        return core_schemas.published(core)
    if resource.schema:
        return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"
    return f"io.k8s.api.{resource.group.partition('.')[0] or 'core'}.{resource.version}.{resource.kind}"


def of_kind(resource: Resource, root: str, form: Form) -> Object:
    """The definition of a kind; ``form`` is ``whole`` or ``reduced``."""
    core = core_types.name_of(resource.api_version, resource.kind)
    if resource.schema:
        schema = form(resource.schema)
    else:
        schema = core_schemas.referring(core, root) if core else {"type": "object"}
    metadata = {"$ref": root + core_schemas.published("meta.ObjectMeta")}
    properties = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"allOf": [metadata], "description": METADATA}}
    # OpenAPI 3.0 ignores what is beside a $ref, hence allOf there; Kubernetes publishes v2 without it.
    if root == core_schemas.V2_ROOT:
        properties["metadata"] = {**metadata, "description": METADATA}
    return {
        **schema,
        "properties": {**schema.get("properties", {}), **properties},
        "x-kubernetes-group-version-kind": [_kind(resource, resource.kind)],
    }


def of_list(resource: Resource, root: str) -> Object:
    """The definition of the list of a kind."""
    items = {"type": "array", "items": {"$ref": root + name_of(resource)}}
    metadata = {"$ref": root + core_schemas.published("meta.ListMeta")}
    return {
        "type": "object",
        "description": f"A list of {resource.kind} objects.",
        "required": ["items"],
        "properties": {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "items": items},
        "x-kubernetes-group-version-kind": [_kind(resource, resource.list_kind or f"{resource.kind}List")],
    }


def whole(root: str, schema: Object) -> Object:
    """A structural schema in OpenAPI v3: unchanged, but embedded objects get apiVersion, kind and metadata."""
    shown = _mapped(schema, lambda part: whole(root, part))
    if schema.get("x-kubernetes-embedded-resource"):
        metadata = {"allOf": [{"$ref": root + core_schemas.published("meta.ObjectMeta")}], "description": METADATA}
        envelope = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
        shown["properties"] = {**shown.get("properties", {}), **envelope}
    return shown


def reduced(schema: Object) -> Object:
    """A structural schema in OpenAPI v2; parts that v2 cannot express accept anything."""
    if schema.get(PRESERVE):  # a root that preserves unknown fields is published without properties
        return {"type": "object"}
    return _reduced(schema)


def _reduced(schema: Object) -> Object:
    if schema.get(PRESERVE):
        return {PRESERVE: True, **_described(schema)}
    if schema.get(INT_OR_STRING):
        return {INT_OR_STRING: True, **_described(schema)}
    # OpenAPI v2 has no nullable: by a published type, clients would reject null.
    if schema.get("nullable"):
        return _described(schema)
    return {name: part for name, part in _mapped(schema, _reduced).items() if name not in BEYOND_V2}


def _described(schema: Object) -> Object:
    return {"description": schema["description"]} if "description" in schema else {}


def _mapped(schema: Object, change: Callable[[Object], Object]) -> Object:
    """The schema with ``change`` applied to its subschemas."""
    shown = dict(schema)
    if isinstance(schema.get("properties"), dict):
        shown["properties"] = {name: change(part) for name, part in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            shown[name] = change(schema[name])
    return shown


def _kind(resource: Resource, kind: str) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": kind}
