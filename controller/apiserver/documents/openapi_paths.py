"""The paths of OpenAPI documents: the operations of each kind, with the options that clients look for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from controller.apiserver.kinds.resources import Resource

Object = dict[str, Any]
Parameter = Callable[[str, str], Object]

ON_OBJECT = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
ON_COLLECTION = {"get": "list", "post": "create", "delete": "deletecollection"}
# OpenAPI's name of an action, where it differs from the verb in discovery.
ACTIONS = {"update": "put", "create": "post"}
WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")
LIST_OPTIONS = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "watch")


def v2(name: str, kind: str) -> Object:
    """A query parameter in OpenAPI v2."""
    return {"name": name, "in": "query", "type": kind}


def v3(name: str, kind: str) -> Object:
    """A query parameter in OpenAPI v3."""
    return {"name": name, "in": "query", "schema": {"type": kind}}


def of(resources: Iterable[Resource], parameter: Parameter) -> Object:
    """The paths of these resources."""
    found: Object = {}
    for resource in resources:
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        collection = f"{root}{'/namespaces/{namespace}' if resource.namespaced else ''}/{resource.plural}"
        found[collection] = _operations(resource, ON_COLLECTION, parameter)
        if resource.verbs == ("create",):
            continue
        found[f"{collection}/{{name}}"] = _operations(resource, ON_OBJECT, parameter)
        for part in resource.subresources:
            offered = {method: verb for method, verb in ON_OBJECT.items() if verb in part.verbs}
            found[f"{collection}/{{name}}/{part.name}"] = _operations(resource, offered, parameter)
    return found


def _operations(resource: Resource, verbs: dict[str, str], parameter: Parameter) -> Object:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        method: {
            "x-kubernetes-action": ACTIONS.get(verb, verb),
            "x-kubernetes-group-version-kind": kind,
            **_parameters(verb, parameter),
            "responses": {"200": {"description": "OK"}},
        }
        for method, verb in verbs.items()
        if verb in resource.verbs
    }


def _parameters(verb: str, parameter: Parameter) -> Object:
    """The parameters, omitted when empty: clients drop empty lists, and the document must equal its round trip."""
    options = WRITE_OPTIONS if verb in ("create", "update", "patch") else LIST_OPTIONS if verb == "list" else ()
    return {"parameters": [parameter(name, "string") for name in options]} if options else {}
