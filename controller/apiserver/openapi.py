"""OpenAPI v2 and v3 documents, as far as kubectl explain, apply and validation need them."""

from __future__ import annotations

from typing import Any

from controller.apiserver.resources import Registry, Resource

Object = dict[str, Any]
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def v3_index(registry: Registry) -> Object:
    """``GET /openapi/v3``."""
    places = {"api/v1"} | {f"apis/{r.group}/{r.version}" for r in registry.all() if r.group}
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in sorted(places)}}


def v3(registry: Registry, group: str, version: str) -> Object:
    """``GET /openapi/v3/...`` of one group version."""
    found = [r for r in registry.all() if (r.group, r.version) == (group, version)]
    schemas: Object = {_name(r): _schema(r, "#/components/schemas/") for r in found}
    schemas[META] = {"type": "object", "description": "Standard object's metadata."}
    paths: Object = {}
    for resource in found:
        paths |= _paths(resource)
    return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def v2(registry: Registry) -> Object:
    """``GET /openapi/v2``."""
    definitions: Object = {_name(r): _schema(r, "#/definitions/") for r in registry.all()}
    definitions[META] = {"type": "object", "description": "Standard object's metadata."}
    return {"swagger": "2.0", "info": _info(), "paths": {}, "definitions": definitions}


def _info() -> Object:
    return {"title": "Kubernetes", "version": "v1"}


def _name(resource: Resource) -> str:
    group = ".".join(reversed(resource.group.split("."))) if resource.group else "io.k8s.api.core"
    return f"{group}.{resource.version}.{resource.kind}"


def _schema(resource: Resource, root: str) -> Object:
    schema: Object = dict(resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    properties = dict(schema.get("properties", {}))
    properties |= {
        "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
        "kind": {"type": "string", "description": "What this object is."},
        "metadata": {"allOf": [{"$ref": root + META}], "description": "Standard object's metadata."},
    }
    kinds = [{"group": resource.group, "version": resource.version, "kind": resource.kind}]
    return {**schema, "properties": properties, "x-kubernetes-group-version-kind": kinds}


def _paths(resource: Resource) -> Object:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    operations = {
        verb: {
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": kind,
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "OK"}},
        }
        for verb in ("get", "put", "patch", "delete")
    }
    return {f"{root}{scope}/{resource.plural}/{{name}}": operations}
