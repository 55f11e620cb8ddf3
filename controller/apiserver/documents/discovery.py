"""Documents at fixed paths: discovery, plain and aggregated, the version, the list of paths."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from controller.apiserver.kinds.resources import Registry, Resource, Subresource

Object = dict[str, Any]

VERSION = {"major": "1", "minor": "35", "gitVersion": "v1.35.0+edge", "gitCommit": "", "gitTreeState": "clean",
           "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux"}  # fmt: skip


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
                return VERSION
            case ["api"] | ["apis"] if aggregated:
                return _aggregated(self._registry, core=parts == ["api"])
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
                return _resource_list(registry, "", "v1")
            case ["apis"]:
                return _groups(registry)
            case ["apis", group] if group in registry.groups():
                return _group(registry, group)
            case ["apis", group, version] if version in registry.groups().get(group, []):
                return _resource_list(registry, group, version)
        return None


def _groups(registry: Registry) -> Object:
    """``GET /apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(registry, n) for n in registry.groups()]}


def _group(registry: Registry, name: str) -> Object:
    """``GET /apis/GROUP``."""
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in registry.groups()[name]]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """``GET /apis/GROUP/VERSION`` and ``GET /api/v1``."""
    entries = []
    for resource in registry.all():
        if (resource.group, resource.version) == (group_name, version):
            entries.append(_entry(resource))
            entries += [_subresource_entry(resource, subresource) for subresource in resource.subresources]
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _aggregated(registry: Registry, *, core: bool) -> Object:
    """Aggregated discovery (apidiscovery.k8s.io/v2) for ``/api`` (core) or ``/apis``."""
    names = {"": ["v1"]} if core else registry.groups()
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [_aggregated_version(registry, name, version) for version in versions],
        }
        for name, versions in names.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_version(registry: Registry, group_name: str, version: str) -> Object:
    resources = [r for r in registry.all() if (r.group, r.version) == (group_name, version)]
    return {"version": version, "freshness": "Current", "resources": [_aggregated_entry(r) for r in resources]}


def _aggregated_entry(resource: Resource) -> Object:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    entry: Object = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_aggregated_subresource(resource, part) for part in resource.subresources]
    return entry


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
        "storageVersionHash": _storage_version_hash(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _storage_version_hash(resource: Resource) -> str:
    """Computed as in Kubernetes; clients only compare it."""
    stored = f"{resource.group}/{resource.storage_version or resource.version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(stored.encode()).digest()[:8]).decode()


def _subresource_entry(resource: Resource, subresource: Subresource) -> Object:
    entry: Object = {
        "name": f"{resource.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(subresource.verbs),
    }
    if subresource.kind:
        entry["group"], entry["version"], entry["kind"] = subresource.kind
    return entry


def _aggregated_subresource(resource: Resource, subresource: Subresource) -> Object:
    group_name, version, kind = subresource.kind or (resource.group, resource.version, resource.kind)
    answer = {"group": group_name, "version": version, "kind": kind}
    return {"subresource": subresource.name, "responseKind": answer, "verbs": list(subresource.verbs)}
