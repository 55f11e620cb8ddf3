"""OpenAPI v2 and v3 documents: what kubectl explain, apply and client-side validation read of the served kinds."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from controller.apiserver import failures
from controller.apiserver.documents import openapi_paths, openapi_protobuf, openapi_schemas
from controller.apiserver.kinds import core_schemas, core_types
from controller.apiserver.kinds.core_schemas import V2_ROOT, V3_ROOT
from controller.apiserver.kinds.resources import Registry, Resource

Object = dict[str, Any]

OBJECT_META = "meta.ObjectMeta"
SHARED = (OBJECT_META, "meta.ListMeta", "meta.DeleteOptions")
JSON = "application/json"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# What Accept may name, with the form it gets; "@" is how older clients, and kubectl still, spell it.
V3_FORMS = {JSON: JSON, "application/*": JSON, "*/*": JSON}
V2_FORMS = {**V3_FORMS, PROTOBUF: PROTOBUF, PROTOBUF.replace("v2.v1.0", "v2@v1.0"): PROTOBUF}


class Published(NamedTuple):
    """A document as it is sent. ``tag`` is the same in every form of it (Vary: Accept tells them apart)."""

    content_type: str
    body: bytes
    tag: str


class OpenApi:
    """The documents of one registry, made in a thread when they are asked for, and again when its resources change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._resources: list[Resource] = []
        self._made: dict[tuple[str, ...], Published] = {}
        self._making = asyncio.Lock()

    async def find(self, parts: list[str], accepted: Sequence[str]) -> Published | None:
        """The document below ``/openapi`` in the first form that the client accepts, None when there is none.

        ``accepted``: media ranges, the preferred first. Raises failures.Failure (406).
        """
        async with self._making:  # one at a time, so that none is made twice
            resources = self._registry.all()
            if resources != self._resources:
                self._resources, self._made = resources, {}
            return await asyncio.to_thread(self._find, parts, accepted)

    def _find(self, parts: list[str], accepted: Sequence[str]) -> Published | None:
        match parts:
            case ["v2"]:
                json_form = self._once(("v2",), self._make_v2)
                return self._protobuf(json_form) if _form(accepted, V2_FORMS) == PROTOBUF else json_form
            case ["v3"]:
                return self._once(("v3",), self._make_index)
            case ["v3", "api", version]:
                return self._group_version(accepted, "", version)
            case ["v3", "apis", group, version]:
                return self._group_version(accepted, group, version)
        return None

    def _group_version(self, accepted: Sequence[str], group: str, version: str) -> Published | None:
        if not any((r.group, r.version) == (group, version) for r in self._resources):
            return None
        _form(accepted, V3_FORMS)
        return self._v3(group, version)

    def _once(self, key: tuple[str, ...], make: Callable[[], Object]) -> Published:
        if key not in self._made:
            body = json.dumps(make(), separators=(",", ":")).encode()
            self._made[key] = Published(JSON, body, hashlib.sha256(body).hexdigest().upper())
        return self._made[key]

    def _protobuf(self, shown: Published) -> Published:
        key = ("v2", PROTOBUF)
        if key not in self._made:
            self._made[key] = Published(PROTOBUF, openapi_protobuf.encode(json.loads(shown.body)), shown.tag)
        return self._made[key]

    def _make_v2(self) -> Object:
        definitions = _definitions(self._resources, V2_ROOT, openapi_schemas.reduced)
        paths = openapi_paths.of(self._resources, openapi_paths.v2)
        return {"swagger": "2.0", "info": _info(), "paths": paths, "definitions": definitions}

    def _make_index(self) -> Object:
        places = {(r.group, r.version) for r in self._resources}
        return {"paths": {_place(*place): {"serverRelativeURL": self._url(*place)} for place in sorted(places)}}

    def _url(self, group: str, version: str) -> str:
        return f"/openapi/v3/{_place(group, version)}?hash={self._v3(group, version).tag}"

    def _v3(self, group: str, version: str) -> Published:
        return self._once(("v3", group, version), lambda: self._make_v3(group, version))

    def _make_v3(self, group: str, version: str) -> Object:
        found = [r for r in self._resources if (r.group, r.version) == (group, version)]
        schemas = _definitions(found, V3_ROOT, partial(openapi_schemas.whole, V3_ROOT))
        paths = openapi_paths.of(found, openapi_paths.v3)
        return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def _form(accepted: Sequence[str], offered: dict[str, str]) -> str:
    """The first accepted form that is offered. Raises failures.Failure (406)."""
    found = next((offered[media] for media in accepted if media in offered), None)
    if found is None:
        raise failures.not_acceptable(f"only the following media types are accepted: {', '.join(offered)}")
    return found


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
