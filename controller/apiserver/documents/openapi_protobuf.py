"""Encodes OpenAPI v2 documents in protobuf, the form that kubectl requests. Pure.

The messages are those of ``openapiv2/OpenAPIv2.proto`` (github.com/google/gnostic-models), as far as our documents use
them. Members without a field are omitted, as protobuf omits unknown fields.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]

VARINT, DOUBLE, BYTES = 0, 1, 2  # wire types


class Message(NamedTuple):
    """The fields of a message by their JSON name: number and kind; ``[]`` marks a repeated one.

    ``extensions`` is the number of the field for all ``x-...`` members; ``others`` is a map for the rest.
    """

    fields: Mapping[str, tuple[int, str]] = {}
    extensions: int = 0
    others: tuple[int, str] | None = None


MESSAGES: dict[str, Message] = {
    "Document": Message(
        {"swagger": (1, "string"), "info": (2, "Info"), "paths": (8, "Paths"), "definitions": (9, "Schemas")}, 16
    ),
    "Info": Message({"title": (1, "string"), "version": (2, "string"), "description": (3, "string")}, 7),
    "Paths": Message({}, 1, (2, "PathItem")),
    "PathItem": Message(
        {method: (number, "Operation") for number, method in enumerate(
            ("get", "put", "post", "delete", "options", "head", "patch"), 2
        )}, 10,
    ),
    "Operation": Message(
        {"description": (3, "string"), "parameters": (8, "[]ParametersItem"), "responses": (9, "Responses")}, 13
    ),
    "QueryParameter": Message(
        {"required": (1, "bool"), "in": (2, "string"), "description": (3, "string"), "name": (4, "string"),
         "type": (6, "string")}, 23,
    ),
    "Responses": Message({}, 2, (1, "ResponseValue")),
    "Response": Message({"description": (1, "string")}, 5),
    "Schemas": Message({}, 0, (1, "Schema")),
    "Schema": Message(
        {
            "$ref": (1, "string"), "format": (2, "string"), "title": (3, "string"), "description": (4, "string"),
            "default": (5, "any"), "multipleOf": (6, "double"), "maximum": (7, "double"),
            "exclusiveMaximum": (8, "bool"), "minimum": (9, "double"), "exclusiveMinimum": (10, "bool"),
            "maxLength": (11, "int"), "minLength": (12, "int"), "pattern": (13, "string"), "maxItems": (14, "int"),
            "minItems": (15, "int"), "uniqueItems": (16, "bool"), "maxProperties": (17, "int"),
            "minProperties": (18, "int"), "required": (19, "[]string"), "enum": (20, "[]any"),
            "additionalProperties": (21, "AdditionalPropertiesItem"), "type": (22, "TypeItem"),
            "items": (23, "ItemsItem"), "allOf": (24, "[]Schema"), "properties": (25, "Schemas"),
            "example": (30, "any"),
        }, 31,
    ),
}  # fmt: skip


def encode(document: Object) -> bytes:
    """The document as ``openapi.v2.Document``."""
    return _message(document, MESSAGES["Document"])


def _message(value: Object, message: Message) -> bytes:
    return b"".join(_encode_member(name, item, message) for name, item in value.items())


def _encode_member(name: str, value: Any, message: Message) -> bytes:
    """Encode a member; empty when its type is wrong, so that one bad schema does not break the whole document."""
    try:
        return b"".join(_member(name, value, message))
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error):
        return b""


def _member(name: str, value: Any, message: Message) -> Iterator[bytes]:
    number, kind = message.fields.get(name, (0, ""))
    if kind.startswith("[]"):
        for item in value:
            yield _field(number, kind.removeprefix("[]"), item)
    elif number:
        yield _field(number, kind, value)
    elif name.startswith("x-") and message.extensions:
        yield _map_entry(message.extensions, name, _field(2, "any", value))
    elif message.others:
        number, kind = message.others
        yield _map_entry(number, name, _field(2, kind, value))


def _map_entry(number: int, name: str, value: bytes) -> bytes:
    """An entry of a map: a message of key and value."""
    return _bytes(number, _bytes(1, name.encode()) + value)


def _field(number: int, kind: str, value: Any) -> bytes:
    if kind in MESSAGES:
        return _bytes(number, _message(value, MESSAGES[kind]))
    if kind == "bool":
        return _varint(number << 3 | VARINT) + _varint(int(value))
    if kind == "int":
        # Protobuf encodes negative numbers as 64-bit two's complement.
        return _varint(number << 3 | VARINT) + _varint(int(value) & (1 << 64) - 1)
    if kind == "double":
        return _varint(number << 3 | DOUBLE) + struct.pack("<d", value)
    return _bytes(number, CONTENTS[kind](value))


def _parameter(value: Object) -> bytes:
    """A query parameter, nested in Parameter and NonBodyParameter."""
    return _bytes(1, _bytes(2, _field(3, "QueryParameter", value)))


def _additional(value: Any) -> bytes:
    return _field(2, "bool", value) if isinstance(value, bool) else _field(1, "Schema", value)


def _types(value: str | list[str]) -> bytes:
    return b"".join(_bytes(1, name.encode()) for name in ([value] if isinstance(value, str) else value))


# Encoders of kinds that are length-delimited but no message of the table. "any" is YAML; JSON is valid YAML.
CONTENTS: dict[str, Callable[[Any], bytes]] = {
    "string": str.encode,
    "any": lambda value: _bytes(2, json.dumps(value, separators=(",", ":")).encode()),
    "ParametersItem": _parameter,
    "ResponseValue": lambda value: _field(1, "Response", value),
    "AdditionalPropertiesItem": _additional,
    "TypeItem": _types,
    "ItemsItem": lambda value: _field(1, "Schema", value),
}


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
