"""Bodies in Kubernetes' protobuf encoding, which kubectl uses for typed commands of core kinds.

Decoding only, by tables of field numbers (staging/src/k8s.io/api/*/generated.proto of Kubernetes); answers are JSON,
which every client accepts. The envelope is four magic bytes and a runtime.Unknown message.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

Object = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"


class Field(NamedTuple):
    """A field by name: "string", "bytes", "int", "bool", "time", or the table of a message; repeated, or a map."""

    name: str
    kind: Any = "string"
    repeated: bool = False
    map: bool = False


Message = dict[int, Field]

TIME: Message = {1: Field("seconds", "int"), 2: Field("nanos", "int")}
METADATA: Message = {
    1: Field("name"), 2: Field("generateName"), 3: Field("namespace"), 5: Field("uid"), 6: Field("resourceVersion"),
    7: Field("generation", "int"), 8: Field("creationTimestamp", "time"), 9: Field("deletionTimestamp", "time"),
    11: Field("labels", map=True), 12: Field("annotations", map=True), 14: Field("finalizers", repeated=True),
}  # fmt: skip
ATTRIBUTES: Message = {
    1: Field("namespace"), 2: Field("verb"), 3: Field("group"), 4: Field("version"), 5: Field("resource"),
    6: Field("subresource"), 7: Field("name"),
}  # fmt: skip
KINDS: dict[str, Message] = {
    "Namespace": {1: Field("metadata", METADATA)},
    "ServiceAccount": {1: Field("metadata", METADATA)},
    "ConfigMap": {
        1: Field("metadata", METADATA), 2: Field("data", map=True), 3: Field("binaryData", "bytes", map=True),
        4: Field("immutable", "bool"),
    },
    "Secret": {
        1: Field("metadata", METADATA), 2: Field("data", "bytes", map=True), 3: Field("type"),
        4: Field("stringData", map=True), 5: Field("immutable", "bool"),
    },
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", {1: Field("uid"), 2: Field("resourceVersion")}),
        4: Field("propagationPolicy"), 5: Field("dryRun", repeated=True),
    },
    "SelfSubjectRulesReview": {1: Field("metadata", METADATA), 2: Field("spec", {1: Field("namespace")})},
    "SelfSubjectReview": {1: Field("metadata", METADATA)},
    "SelfSubjectAccessReview": {
        1: Field("metadata", METADATA), 2: Field("spec", {1: Field("resourceAttributes", ATTRIBUTES)}),
    },
}  # fmt: skip
ENVELOPE: Message = {1: Field("typeMeta", {1: Field("apiVersion"), 2: Field("kind")}), 2: Field("raw", "raw")}


def decode(body: bytes) -> Object:
    """The object in a body. Raises ValueError for a kind without a table, or a damaged body."""
    if not body.startswith(MAGIC):
        raise ValueError("the body does not begin as a Kubernetes protobuf message")
    envelope = _message(body[len(MAGIC) :], ENVELOPE)
    kind = envelope.get("typeMeta", {})
    table = KINDS.get(kind.get("kind", ""))
    if table is None:
        raise ValueError(f"{kind.get('kind') or 'an object without kind'} is taken as JSON or YAML only")
    return {**kind, **_message(envelope.get("raw", b""), table)}


def _message(data: bytes, table: Message) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        if field.map:
            entry = _message(value, {1: Field("key"), 2: Field("value", field.kind)})
            found.setdefault(field.name, {})[entry.get("key", "")] = entry.get("value", "")
        elif field.repeated:
            found.setdefault(field.name, []).append(_value(value, field.kind))
        else:
            found[field.name] = _value(value, field.kind)
    return {name: value for name, value in found.items() if value not in ("", None)}


def _value(value: Any, kind: Any) -> Any:
    if isinstance(kind, dict):
        return _message(value, kind)
    if kind == "time":
        seconds = _message(value, TIME).get("seconds")
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "string":
        return value.decode()
    return bool(value) if kind == "bool" else value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and raw values (protobuf encoding guide: varints, 64-bit, length-delimited, 32-bit)."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        size, place = _varint(data, place) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(data) + 1), place)
        if place + size > len(data):
            raise ValueError("the protobuf message is cut off or damaged")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise ValueError("the protobuf message is cut off")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("the protobuf message holds a number of more than 64 bits")
