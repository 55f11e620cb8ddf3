"""Bodies in Kubernetes' protobuf encoding, which Go clients use for Kubernetes' own kinds.

Decoding only; answers are JSON, which every client takes. The envelope is four magic bytes and a runtime.Unknown
message; field numbers come from core_types.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from controller.apiserver.http import bodies
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core_types import Field

Object = dict[str, Any]

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
DEPTH = 200  # messages within messages
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - shown with the Z of UTC


def decode(body: bytes) -> Object:
    """The object in a body. Raises ValueError for a kind without a type, or a damaged body."""
    try:
        return _object(body)
    except (AttributeError, OverflowError, TypeError, struct.error) as error:
        # A field whose wire type is not the one that its schema gives it, or a time beyond all calendars.
        raise ValueError("a field of the protobuf message has a value that is not of its type") from error


def _object(body: bytes) -> Object:
    if not body.startswith(MAGIC):
        raise ValueError("the body does not begin as a Kubernetes protobuf message")
    envelope = dict(_fields(body[len(MAGIC) :]))
    identity = dict(_fields(envelope.get(1, b"")))
    api_version, kind = identity.get(1, b"").decode(), identity.get(2, b"").decode()
    name = core_types.name_of(api_version, kind)
    if name is None:
        raise ValueError(f"{kind or 'an object without kind'} is taken as JSON or YAML only")
    return {"apiVersion": api_version, "kind": kind, **_message(envelope.get(2, b""), name, DEPTH)}


def _message(data: bytes, name: str, depth: int) -> Object:
    if not depth:
        raise ValueError("the protobuf message is nested too deeply")
    table = {field.number: field for field in core_types.types()[name].fields}
    found: Object = {}
    for number, raw in _fields(data):
        if field := table.get(number):
            _take(found, field, raw, depth - 1)
    return found


def _take(found: Object, field: Field, raw: Any, depth: int) -> None:
    """Put a field's value into the object, as its JSON would have it."""
    kind = field.kind
    if kind.startswith("map[string]"):
        entry = dict(_fields(raw))
        value = _value(entry.get(2, b""), kind.removeprefix("map[string]"), depth)
        found.setdefault(field.name, {})[entry.get(1, b"").decode()] = value
    elif kind.startswith("[]"):
        found.setdefault(field.name, []).append(_value(raw, kind.removeprefix("[]"), depth))
    else:
        value = _value(raw, kind.removeprefix("*"), depth)
        # Go writes a field that is no pointer also when it is zero; its JSON leaves that out.
        if value is not None and (value or kind.startswith("*") or field.zero):
            found[field.name] = value


def _value(raw: Any, kind: str, depth: int) -> Any:
    if kind.startswith("[]"):  # a list as the value of a map
        return [_value(item, kind.removeprefix("[]"), depth) for _, item in _fields(raw)]
    if kind in _SCALARS:
        return _SCALARS[kind](raw)
    if kind in _SCHEMAS:
        return _SCHEMAS[kind](raw, depth)
    return _message(raw, kind, depth)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _time(raw: bytes, unit: str = "seconds") -> str | None:
    parts = dict(_fields(raw))
    if not parts.get(1):
        return None
    seconds = timedelta(seconds=_signed(parts[1]), microseconds=parts.get(2, 0) // 1000)
    return f"{(_EPOCH + seconds).isoformat(timespec=unit)}Z"


def _string(raw: bytes) -> str:
    return raw.decode()


def _json(raw: bytes) -> Any:
    text = dict(_fields(raw)).get(1, b"")
    return bodies.of_json(text).object if text else None


def _quantity(raw: bytes) -> str:
    return str(dict(_fields(raw)).get(1, b"").decode())


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    return parts.get(3, b"").decode() if parts.get(1) else _signed(parts.get(2, 0))


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "bool": bool,
    "int32": _signed,
    "int64": _signed,
    "float64": lambda raw: struct.unpack("<d", raw)[0],
    "bytes": lambda raw: base64.b64encode(raw).decode(),
    "time": _time,
    "microtime": lambda raw: _time(raw, "microseconds"),
    "json": _json,
    "fields": _json,
    "raw": _json,
    "quantity": _quantity,
    "intorstring": _int_or_string,
}


def _schema(raw: bytes, depth: int) -> Object:
    return _message(raw, "extensions.JSONSchemaProps", depth)


def _schema_or_bool(raw: bytes, depth: int) -> Any:
    parts = dict(_fields(raw))
    return _schema(parts[2], depth) if 2 in parts else bool(parts.get(1))


def _schema_or_array(raw: bytes, depth: int) -> Any:
    parts = list(_fields(raw))
    one = dict(parts).get(1)
    return _schema(one, depth) if one is not None else [_schema(item, depth) for number, item in parts if number == 2]


def _schema_or_strings(raw: bytes, depth: int) -> Any:
    parts = list(_fields(raw))
    one = dict(parts).get(1)
    return _schema(one, depth) if one is not None else [item.decode() for number, item in parts if number == 2]


_SCHEMAS: dict[str, Callable[[bytes, int], Any]] = {
    "schemaorbool": _schema_or_bool,
    "schemaorarray": _schema_or_array,
    "schemaorstrings": _schema_or_strings,
}


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
