"""Documents at fixed paths: discovery, version and the list of paths. OpenAPI is in openapi.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.apiserver.documents import discovery
from controller.apiserver.kinds.resources import Registry

Object = dict[str, Any]


class Documents:
    """The documents at fixed paths."""

    def __init__(self, registry: Registry, others: Iterable[str] = ()) -> None:
        """``others``: further paths for the list at the root."""
        self._registry = registry
        self._others = tuple(others)

    def find(self, parts: list[str], *, aggregated: bool) -> Object | None:
        """The document at this path, or None when the path names objects or nothing."""
        match parts:
            case []:
                return {"paths": self._paths()}
            case ["version"]:
                return discovery.VERSION
            case ["api"] | ["apis"] if aggregated:
                return discovery.aggregated(self._registry, core=parts == ["api"])
        return self._discovery(parts)

    def _paths(self) -> list[str]:
        groups = self._registry.groups()
        versions = [f"/apis/{group}/{version}" for group, found in groups.items() for version in found]
        fixed = ("/api", "/api/v1", "/apis", "/openapi/v2", "/openapi/v3", "/version")
        return sorted({*fixed, *(f"/apis/{group}" for group in groups), *versions, *self._others})

    def _discovery(self, parts: list[str]) -> Object | None:
        registry = self._registry
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
