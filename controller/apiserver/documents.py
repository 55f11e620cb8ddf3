"""The documents of the API: what it tells of itself at fixed paths, discovery and OpenAPI."""

from __future__ import annotations

from typing import Any

from controller.apiserver import discovery, openapi
from controller.apiserver.resources import Registry

Object = dict[str, Any]


def find(registry: Registry, parts: list[str], *, aggregated: bool) -> Object | None:
    """The document at this path, or None when the path names objects or nothing."""
    match parts:
        case []:
            return {"paths": ["/api", "/apis", "/healthz", "/openapi/v2", "/openapi/v3", "/version"]}
        case ["version"]:
            return discovery.VERSION
        case ["openapi", *rest]:
            return _openapi(registry, rest)
        case ["api"] | ["apis"] if aggregated:
            return discovery.aggregated(registry, core=parts == ["api"])
    return _discovery(registry, parts)


def _discovery(registry: Registry, parts: list[str]) -> Object | None:
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["api", "v1"]:
            return discovery.resource_list(registry, "", "v1")
        case ["apis"]:
            return discovery.groups(registry)
        case ["apis", group] if group in registry.groups():
            return discovery.group(registry, group)
        case ["apis", group, version] if version in registry.groups().get(group, []):
            return discovery.resource_list(registry, group, version)
    return None


def _openapi(registry: Registry, rest: list[str]) -> Object | None:
    match rest:
        case ["v2"]:
            return openapi.v2(registry)
        case ["v3"]:
            return openapi.v3_index(registry)
        case ["v3", "api", "v1"]:
            return openapi.v3(registry, "", "v1")
        case ["v3", "apis", group, version]:
            return openapi.v3(registry, group, version)
    return None
