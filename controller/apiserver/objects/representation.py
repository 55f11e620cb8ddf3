"""Representations of objects: whole, metadata only or as a table; as JSON or YAML, as the Accept header asks.

Negotiation follows RFC 9110, 12.5.1; the representations are in the API reference (meta.k8s.io, v1 and v1beta1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import tables

Object = dict[str, Any]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
ACCEPTED = (JSON, YAML, PROTOBUF)
# A client that accepts only protobuf gets JSON: Go clients decode by the Content-Type of the answer.
RANGES = {JSON: JSON, YAML: YAML, PROTOBUF: JSON, "application/*": JSON, "*/*": JSON}
TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
KINDS_OF_EVENTS = (TABLE, PARTIAL)
KINDS = (TABLE, PARTIAL, PARTIAL_LIST)
GROUP = "meta.k8s.io"
VERSIONS = ("v1", "v1beta1")
INCLUDED = ("Metadata", "Object", "None")
ACCEPT_LENGTH = 4096  # characters of an Accept header that are parsed; clients send about a hundred


@dataclass(frozen=True)
class Form:
    """The negotiated form. ``kind`` is "" for whole objects; ``include`` says what table rows contain of the object."""

    media: str = JSON
    kind: str = ""
    version: str = "v1"
    include: str = "Metadata"
    omits_columns: bool = False  # the columns were sent before in the stream

    @property
    def without_columns(self) -> Form:
        """The form of all but the first table of a stream."""
        return replace(self, omits_columns=True)

    def of_object(self, resource: Resource, item: Object) -> Object:
        """Represent one object. Raises failures.Failure (406)."""
        if self.kind == TABLE:
            return self._table(resource, [item], {"resourceVersion": item["metadata"].get("resourceVersion", "")})
        if self.kind == PARTIAL_LIST:
            raise failures.not_acceptable(f"you requested {self.kind}, but the requested object is not a list")
        return self._partial(item) if self.kind else item

    def of_list(self, resource: Resource, items: list[Any], metadata: Object) -> Object:
        """Represent a list. Raises failures.Failure (406)."""
        if self.kind == TABLE:
            return self._table(resource, items, metadata)
        if self.kind == PARTIAL:
            raise failures.not_acceptable(f"you requested {self.kind}, but the requested object is a list")
        if self.kind:
            partial = [self._partial(item) for item in items]
            return {"kind": self.kind, "apiVersion": self._api_version, "metadata": metadata, "items": partial}
        kind = resource.list_kind or f"{resource.kind}List"
        return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}

    @property
    def _api_version(self) -> str:
        return f"{GROUP}/{self.version}"

    def _partial(self, item: Object) -> Object:
        return {"kind": PARTIAL, "apiVersion": self._api_version, "metadata": item["metadata"]}

    def _table(self, resource: Resource, items: list[Object], metadata: Object) -> Object:
        rows = [{"cells": tables.cells(resource, item), "object": self._row_object(item)} for item in items]
        columns = None if self.omits_columns else tables.columns(resource)
        about = {"kind": TABLE, "apiVersion": self._api_version, "metadata": metadata}
        return {**about, "columnDefinitions": columns, "rows": rows}

    def _row_object(self, item: Object) -> Object | None:
        if self.include == "None":
            return None
        return item if self.include == "Object" else self._partial(item)


def negotiate(accept: str, include: str = "", *, streaming: bool = False) -> Form:
    """The most preferred form of an Accept header that is available. Raises failures.Failure (400, 406)."""
    form = next(_offers(accept, streaming=streaming), None)
    if form is None:
        accepted = f"{JSON};stream=watch" if streaming else ", ".join(ACCEPTED)
        raise failures.not_acceptable(f"only the following media types are accepted: {accepted}")
    if form.kind != TABLE or not include:
        return form
    if include not in INCLUDED:
        why = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise failures.bad_request(f"Unable to convert to Table as requested: {why}")
    return replace(form, include=include)


AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}


def clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    """The media ranges of an Accept header with their parameters, preferred first, without those of ``q=0``."""
    split = [[part.strip() for part in clause.split(";")] for clause in accept[:ACCEPT_LENGTH].split(",")]
    ranges = [(media.lower(), dict(part.partition("=")[::2] for part in parts)) for media, *parts in split]
    wanted = [clause for clause in ranges if _quality(clause[1])]
    # The sort is stable: of equal qualities the first one wins, as kubectl expects for its list of table versions.
    return sorted(wanted, key=lambda clause: _quality(clause[1]), reverse=True)


def prefers_yaml(accept: str) -> bool:
    """Whether the client prefers YAML for any answer, including documents and failures."""
    # Without a fitting offer JSON: the answer that says 406 needs a form as well.
    return next(_offers(accept, streaming=False), Form()).media == YAML


def prefers_aggregated(accept: str) -> bool:
    """Whether the client prefers discovery in the form ``AGGREGATED`` to a plain one."""
    for media, parameters in clauses(accept or JSON):
        if media in RANGES and AGGREGATED.items() <= parameters.items():
            return True
        if media in RANGES and not parameters.get("as"):
            return False
    return False


def _offers(accept: str, *, streaming: bool) -> Iterator[Form]:
    for media, parameters in clauses(accept or JSON):
        found, kind = RANGES.get(media), parameters.get("as", "")
        # A watch is one JSON object per line; YAML has no such framing.
        if found is None or (streaming and found != JSON):
            continue
        if not kind:
            yield Form(found)
        elif kind in (KINDS_OF_EVENTS if streaming else KINDS) and parameters.get("g", GROUP) == GROUP:
            yield from (Form(found, kind, version) for version in VERSIONS if version == parameters.get("v", "v1"))


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        # An unreadable quality excludes its range instead of failing the request.
        return 0.0
