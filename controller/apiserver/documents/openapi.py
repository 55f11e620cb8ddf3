"""OpenAPI v2 and v3 documents: what kubectl explain, apply and client-side validation read of the served kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from controller.apiserver.documents import openapi_paths, openapi_schemas
from controller.apiserver.kinds import core_schemas, core_types
from controller.apiserver.kinds.resources import Registry, Resource

Object = dict[str, Any]

V2_ROOT = "#/definitions/"
V3_ROOT = "#/components/schemas/"
OBJECT_META = "meta.ObjectMeta"
SHARED = (OBJECT_META, "meta.ListMeta", "meta.DeleteOptions")


class OpenApi:
    """The documents of one registry, made again when its resources change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._resources: list[Resource] = []
        self._made: dict[str, Object] = {}

    def v2(self) -> Object:
        """``GET /openapi/v2``."""
        return self._once("v2", self._make_v2)

    def v3_index(self) -> Object:
        """``GET /openapi/v3``: the documents, with hashes that tell clients when to read them again."""
        return self._once("v3", self._make_index)

    def v3(self, group: str, version: str) -> Object | None:
        """``GET /openapi/v3/...`` of one group version, None when there is none."""
        return self._once(f"{group}/{version}", lambda: self._make_v3(group, version)) or None

    def _once(self, name: str, make: Callable[[], Object]) -> Object:
        resources = self._registry.all()
        if resources != self._resources:
            self._resources, self._made = resources, {}
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _make_v2(self) -> Object:
        definitions = _definitions(self._resources, V2_ROOT, openapi_schemas.reduced)
        paths = openapi_paths.of(self._resources, openapi_paths.v2)
        return {"swagger": "2.0", "info": _info(), "paths": paths, "definitions": definitions}

    def _make_index(self) -> Object:
        places = {(r.group, r.version) for r in self._resources}
        return {"paths": {_place(*place): {"serverRelativeURL": self._url(*place)} for place in sorted(places)}}

    def _url(self, group: str, version: str) -> str:
        text = json.dumps(self.v3(group, version), sort_keys=True)
        return f"/openapi/v3/{_place(group, version)}?hash={hashlib.sha256(text.encode()).hexdigest().upper()}"

    def _make_v3(self, group: str, version: str) -> Object:
        found = [r for r in self._resources if (r.group, r.version) == (group, version)]
        if not found:
            return {}
        schemas = _definitions(found, V3_ROOT, partial(openapi_schemas.whole, V3_ROOT))
        paths = openapi_paths.of(found, openapi_paths.v3)
        return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def _place(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _info() -> Object:
    return {"title": "Kubernetes", "version": "1.35"}


def _definitions(resources: Iterable[Resource], root: str, form: openapi_schemas.Form) -> Object:
    found: Object = {}
    needed = {name for shared in SHARED for name in core_schemas.names_within(shared)}
    for resource in resources:
        if resource.verbs == ("create",):
            continue  # reviews: asked for, never read
        name, core = openapi_schemas.name_of(resource), core_types.name_of(resource.api_version, resource.kind)
        if core and not resource.schema:
            needed |= core_schemas.names_within(core) - {core}
        found[name] = openapi_schemas.of_kind(resource, root, form)
        found[f"{name}List"] = openapi_schemas.of_list(resource, root)
    return found | {core_schemas.published(name): core_schemas.referring(name, root) for name in sorted(needed)}
