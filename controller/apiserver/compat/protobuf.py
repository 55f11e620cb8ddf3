"""Decode bodies in Kubernetes' protobuf encoding, which Go clients use for built-in kinds.

Decoding only: responses are JSON, which every client accepts. The envelope is four magic bytes and a runtime.Unknown
message; field numbers come from core_types. Messages are views of the body, so that nesting copies nothing. A value
that does not have the type of its field is rejected, as in Go.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from controller.apiserver import bounds
from controller.apiserver.http import json_bodies
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core_types import Field
from controller.apiserver.objects import representation

Object = dict[str, Any]

CONTENT_TYPE = representation.PROTOBUF
MAGIC = b"k8s\x00"
_NOTHING = memoryview(b"")
_FIXED = {1: 8, 5: 4}  # fixed-length wire types (protobuf encoding guide) and their bytes
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - formatted with the Z of UTC


def decode(body: bytes) -> Object:
    """Decode the object in a body. Raises ValueError for an unknown kind, or a damaged or too large body."""
    if not body.startswith(MAGIC):
        raise ValueError("the body does not start with the magic bytes of a Kubernetes protobuf message")
    reader = _Reader()
    envelope = reader.message(memoryview(body)[len(MAGIC) :])
    identity = reader.message(envelope.get(1, _NOTHING))
    api_version, kind = _string(reader, identity.get(1, _NOTHING)), _string(reader, identity.get(2, _NOTHING))
    name = core_types.name_of(api_version, kind)
    if name is None:
        raise ValueError(f"send {kind or 'an object without kind'} as JSON or YAML: its protobuf type is unknown")
    found = _message(reader, envelope.get(2, _NOTHING), name, bounds.DEPTH)
    return {"apiVersion": api_version, "kind": kind, **found}


class _Reader:
    """Parses messages and counts their values: a field of two bytes becomes an object of a hundred."""

    def __init__(self) -> None:
        self._count = 0

    def fields(self, raw: Any) -> Iterator[tuple[int, Any]]:
        """Yield field numbers and values: int for varint, memoryview for length-delimited, bytes for fixed-length."""
        data, place = _delimited(raw), 0
        while place < len(data):
            self._add(1)
            tag, place = _varint(data, place)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, place = _varint(data, place)
                yield number, value
                continue
            # Groups and unknown wire types get a size that exceeds any message, so that they fail below.
            size, place = _varint(data, place) if wire == 2 else (_FIXED.get(wire, len(data) + 1), place)
            if place + size > len(data):
                raise ValueError("the protobuf message is truncated or damaged")
            found = data[place : place + size]
            yield number, found if wire == 2 else found.tobytes()
            place += size

    def message(self, raw: Any) -> dict[int, Any]:
        """The fields of a message without repeated fields; the last value wins."""
        return dict(self.fields(raw))

    def json(self, raw: Any) -> Any:
        """Decode embedded JSON."""
        value = json_bodies.of_json(_delimited(raw).tobytes()).object
        self._add(bounds.check(value))
        return value

    def _add(self, count: int) -> None:
        self._count += count
        bounds.check_figures(self._count, 0)


def _message(reader: _Reader, raw: Any, name: str, depth: int) -> Object:
    if not depth:
        raise ValueError("the protobuf message is nested too deeply")
    table = {field.number: field for field in core_types.types()[name].fields}
    found: Object = {}
    for number, value in reader.fields(raw):
        # Others are skipped, as in Go: a newer client may send fields that the table lacks.
        if field := table.get(number):
            _take(reader, found, field, value, depth - 1)
    return found


def _take(reader: _Reader, found: Object, field: Field, raw: Any, depth: int) -> None:
    """Add a field's value to the object in its JSON form."""
    kind = field.kind
    if kind.startswith("map[string]"):
        entry = reader.message(raw)
        value = _value(reader, entry.get(2, _NOTHING), kind.removeprefix("map[string]"), depth)
        found.setdefault(field.name, {})[_string(reader, entry.get(1, _NOTHING))] = value
    elif kind.startswith("[]"):
        found.setdefault(field.name, []).append(_value(reader, raw, kind.removeprefix("[]"), depth))
    else:
        value = _value(reader, raw, kind.removeprefix("*"), depth)
        # Go encodes a non-pointer field even if it is zero; its JSON omits it.
        if value is not None and (value or kind.startswith("*") or field.zero):
            found[field.name] = value


def _value(reader: _Reader, raw: Any, kind: str, depth: int) -> Any:
    if kind.startswith("[]"):  # a list as the value of a map
        return [_value(reader, item, kind.removeprefix("[]"), depth) for _, item in reader.fields(raw)]
    if kind in _SCALARS:
        return _SCALARS[kind](reader, raw)
    if kind in _SCHEMAS:
        return _SCHEMAS[kind](reader, raw, depth)
    return _message(reader, raw, kind, depth)


def _delimited(raw: Any) -> memoryview:
    """Raise ValueError if a field is not length-delimited."""
    if not isinstance(raw, memoryview):
        raise ValueError("a field of the protobuf message has the wrong wire type")
    return raw


def _unsigned(raw: Any) -> int:
    if not isinstance(raw, int):
        raise ValueError("a field of the protobuf message has the wrong wire type")
    return raw


def _signed(raw: Any) -> int:
    value = _unsigned(raw)
    return value - (1 << 64) if value >> 63 else value


def _float(raw: Any) -> float:
    if not isinstance(raw, bytes) or len(raw) != _FIXED[1]:
        raise ValueError("a field of the protobuf message has the wrong wire type")
    value: float = struct.unpack("<d", raw)[0]
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON value")
    return value


def _time(reader: _Reader, raw: Any, unit: str = "seconds") -> str | None:
    parts = reader.message(raw)
    # Go encodes a zero time as an empty message.
    if not parts.get(1):
        return None
    try:
        since = timedelta(seconds=_signed(parts[1]), microseconds=_signed(parts.get(2, 0)) // 1000)
        return f"{(_EPOCH + since).isoformat(timespec=unit)}Z"
    except OverflowError as error:
        raise ValueError("a time of the protobuf message is out of range") from error


def _string(_: _Reader, raw: Any) -> str:
    return _delimited(raw).tobytes().decode()


def _json(reader: _Reader, raw: Any) -> Any:
    text = reader.message(raw).get(1)
    return reader.json(text) if text else None


def _quantity(reader: _Reader, raw: Any) -> str:
    return _string(reader, reader.message(raw).get(1, _NOTHING))


def _int_or_string(reader: _Reader, raw: Any) -> int | str:
    parts = reader.message(raw)
    return _string(reader, parts.get(3, _NOTHING)) if parts.get(1) else _signed(parts.get(2, 0))


_SCALARS: dict[str, Callable[[_Reader, Any], Any]] = {
    "string": _string,
    "bool": lambda _, raw: bool(_unsigned(raw)),
    "int32": lambda _, raw: _signed(raw),
    "int64": lambda _, raw: _signed(raw),
    "float64": lambda _, raw: _float(raw),
    "bytes": lambda _, raw: base64.b64encode(_delimited(raw)).decode(),
    "time": _time,
    "microtime": lambda reader, raw: _time(reader, raw, "microseconds"),
    "json": _json,
    "fields": _json,
    "raw": _json,
    "quantity": _quantity,
    "intorstring": _int_or_string,
}


def _schema(reader: _Reader, raw: Any, depth: int) -> Object:
    return _message(reader, raw, "extensions.JSONSchemaProps", depth)


def _schema_or_bool(reader: _Reader, raw: Any, depth: int) -> Any:
    parts = reader.message(raw)
    return _schema(reader, parts[2], depth) if 2 in parts else bool(_unsigned(parts.get(1, 0)))


def _schema_or_array(reader: _Reader, raw: Any, depth: int) -> Any:
    parts = list(reader.fields(raw))
    one = dict(parts).get(1)
    return (
        _schema(reader, one, depth)
        if one is not None
        else [_schema(reader, item, depth) for number, item in parts if number == 2]
    )


def _schema_or_strings(reader: _Reader, raw: Any, depth: int) -> Any:
    parts = list(reader.fields(raw))
    one = dict(parts).get(1)
    return (
        _schema(reader, one, depth)
        if one is not None
        else [_string(reader, item) for number, item in parts if number == 2]
    )


_SCHEMAS: dict[str, Callable[[_Reader, Any, int], Any]] = {
    "schemaorbool": _schema_or_bool,
    "schemaorarray": _schema_or_array,
    "schemaorstrings": _schema_or_strings,
}


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise ValueError("the protobuf message is truncated")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value, place
    raise ValueError("the protobuf message contains a number of more than 64 bits")
