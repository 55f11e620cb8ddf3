"""OpenAPI v2 and v3 documents of the served kinds, for kubectl explain, apply and client-side validation."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from controller.apiserver import failures
from controller.apiserver.documents import openapi_paths, openapi_protobuf, openapi_schemas
from controller.apiserver.kinds import core_schemas, core_types
from controller.apiserver.kinds.core_schemas import V2_ROOT, V3_ROOT
from controller.apiserver.kinds.resources import Registry, Resource

Object = dict[str, Any]
Key = tuple[str, ...]

GZIP_LEVEL = 6  # each document is compressed only once
SHARED = ("meta.ObjectMeta", "meta.ListMeta", "meta.DeleteOptions")
JSON = "application/json"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# Accepted media types and the form they select. Older clients, and kubectl still, spell the protobuf one with "@".
V3_FORMS = {JSON: JSON, "application/*": JSON, "*/*": JSON}
V2_FORMS = {**V3_FORMS, PROTOBUF: PROTOBUF, PROTOBUF.replace("v2.v1.0", "v2@v1.0"): PROTOBUF}


class EncodedDocument(NamedTuple):
    """An encoded document. All its forms share one ``tag`` (Vary: Accept distinguishes them)."""

    content_type: str
    body: bytes
    packed: bytes  # gzip of ``body``
    tag: str


class OpenApi:
    """The documents of a registry, built on demand and rebuilt when its resources change.

    They are built in a separate thread, so that building does not delay requests for existing documents.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents = DocumentSet([])
        # Not the event loop's pool, which may be full of waiting work.
        self._thread = ThreadPoolExecutor(1, "openapi")

    async def find(self, parts: list[str], accepted: Sequence[str]) -> EncodedDocument | None:
        """The document below ``/openapi`` in the first form that the client accepts, None when there is none.

        ``accepted``: media ranges, preferred first. Raises failures.Failure (406).
        """
        # In a variable, since a change of the registry during the await replaces the set.
        documents = self._current()
        key = documents.key(parts, accepted)
        if key is None:
            return None
        if key not in documents.made:
            await asyncio.get_running_loop().run_in_executor(self._thread, documents.make, key)
        return documents.made[key]

    def _current(self) -> DocumentSet:
        resources = self._registry.all()
        if resources != self._documents.resources:
            self._documents = DocumentSet(resources)
        return self._documents


class DocumentSet:
    """The documents of one state of the registry; ``made`` caches those built so far."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources
        self.made: dict[Key, EncodedDocument] = {}

    def key(self, parts: list[str], accepted: Sequence[str]) -> Key | None:
        """The key of a document, None when there is none. Raises failures.Failure (406)."""
        match parts:
            case ["v2"]:
                return "v2", _form(accepted, V2_FORMS)
            case ["v3"]:
                return ("v3",)
            case ["v3", "api", version]:
                place = ("", version)
            case ["v3", "apis", group, version]:
                place = (group, version)
            case _:
                return None
        if all((r.group, r.version) != place for r in self.resources):
            return None
        return "v3", _form(accepted, V3_FORMS), *place

    def make(self, key: Key) -> EncodedDocument:
        """Build a document once."""
        # Checked again in the thread: several requests for a new document may be queued.
        if key not in self.made:
            self.made[key] = self._make(key)
        return self.made[key]

    def _make(self, key: Key) -> EncodedDocument:
        match key:
            case ("v2", form) if form == PROTOBUF:
                shown = self.make(("v2", JSON))
                return _encoded(form, openapi_protobuf.encode(json.loads(shown.body)), shown.tag)
            case ("v2", _):
                document = self._make_v2()
            case ("v3", _, group, version):
                document = self._make_v3(group, version)
            case _:
                document = self._make_index()
        body = json.dumps(document, separators=(",", ":")).encode()
        return _encoded(JSON, body, hashlib.sha256(body).hexdigest().upper())

    def _make_v2(self) -> Object:
        definitions = _definitions(self.resources, V2_ROOT, openapi_schemas.reduced)
        paths = openapi_paths.of(self.resources, openapi_paths.v2)
        return {"swagger": "2.0", "info": _info(), "paths": paths, "definitions": definitions}

    def _make_index(self) -> Object:
        places = {(r.group, r.version) for r in self.resources}
        return {"paths": {_place(*place): {"serverRelativeURL": self._url(*place)} for place in sorted(places)}}

    def _url(self, group: str, version: str) -> str:
        return f"/openapi/v3/{_place(group, version)}?hash={self.make(('v3', JSON, group, version)).tag}"

    def _make_v3(self, group: str, version: str) -> Object:
        found = [r for r in self.resources if (r.group, r.version) == (group, version)]
        schemas = _definitions(found, V3_ROOT, partial(openapi_schemas.whole, V3_ROOT))
        paths = openapi_paths.of(found, openapi_paths.v3)
        return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def _encoded(content_type: str, body: bytes, tag: str) -> EncodedDocument:
    return EncodedDocument(content_type, body, gzip.compress(body, GZIP_LEVEL), tag)


def _form(accepted: Sequence[str], offered: dict[str, str]) -> str:
    """The first accepted form that is available. Raises failures.Failure (406)."""
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
            continue  # reviews can only be created, never read
        name, core = openapi_schemas.name_of(resource), core_types.name_of(resource.api_version, resource.kind)
        if core and not resource.schema:
            needed |= core_schemas.names_within(core) - {core}
        found[name] = openapi_schemas.of_kind(resource, root, form)
        found[f"{name}List"] = openapi_schemas.of_list(resource, root)
    return found | {core_schemas.published(name): core_schemas.referring(name, root) for name in sorted(needed)}
