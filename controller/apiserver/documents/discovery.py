"""Discovery documents: groups, versions and resources, plain and aggregated."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from controller.apiserver.kinds.resources import Registry, Resource
from controller.apiserver.kinds.subresources import Subresource

Object = dict[str, Any]

VERSION = {"major": "1", "minor": "35", "gitVersion": "v1.35.0+edge", "gitCommit": "", "gitTreeState": "clean",
           "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux"}  # fmt: skip


def groups(registry: Registry) -> Object:
    """``GET /apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(registry, n) for n in registry.groups()]}


def group(registry: Registry, name: str) -> Object:
    """``GET /apis/GROUP``."""
    versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in registry.groups()[name]]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """``GET /apis/GROUP/VERSION`` and ``GET /api/v1``."""
    entries = []
    for resource in registry.all():
        if (resource.group, resource.version) == (group_name, version):
            entries.append(_entry(resource))
            entries += [_subresource_entry(resource, subresource) for subresource in resource.subresources]
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def aggregated(registry: Registry, *, core: bool) -> Object:
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
