"""OpenAPI documents: protobuf encoding and caching."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller.api import crds
from controller.apiserver.documents import openapi_protobuf
from controller.apiserver.documents.openapi import PROTOBUF, OpenApi
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Registry

V2 = ["v2"]


def _schema(schema: dict[str, Any]) -> bytes:
    """The encoded definition "d" without the three enclosing messages, each shorter than 128 bytes."""
    encoded = openapi_protobuf.encode({"definitions": {"d": schema}})
    size = len(encoded)
    assert encoded[:9] == bytes([0x4A, size - 2, 0x0A, size - 4, 0x0A, 1]) + b"d" + bytes([0x12, size - 9])
    return encoded[9:]


@pytest.mark.parametrize(
    ("schema", "encoded"),
    [
        ({"type": "string"}, b"\xb2\x01\x08\x0a\x06string"),
        ({"$ref": "#/definitions/x"}, b"\x0a\x0f#/definitions/x"),
        ({"maxLength": 300}, b"\x58\xac\x02"),
        ({"minLength": -1}, b"\x60" + b"\xff" * 9 + b"\x01"),
        ({"minimum": 1}, b"\x49\x00\x00\x00\x00\x00\x00\xf0\x3f"),
        ({"required": ["a", "b"]}, b"\x9a\x01\x01a\x9a\x01\x01b"),
        ({"enum": ["A"]}, b'\xa2\x01\x05\x12\x03"A"'),
        ({"items": {"title": "t"}}, b"\xba\x01\x05\x0a\x03\x1a\x01t"),
        ({"additionalProperties": False}, b"\xaa\x01\x02\x10\x00"),
        ({"additionalProperties": {"title": "t"}}, b"\xaa\x01\x05\x0a\x03\x1a\x01t"),
        ({"properties": {"p": {"title": "t"}}}, b"\xca\x01\x0a\x0a\x08\x0a\x01p\x12\x03\x1a\x01t"),
        ({"x-y": True}, b"\xfa\x01\x0d\x0a\x03x-y\x12\x06\x12\x04true"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_schema_is_encoded_as_the_message_of_gnostic(schema: dict[str, Any], encoded: bytes) -> None:
    assert _schema(schema) == encoded


@pytest.mark.parametrize(
    "part",
    [{"maxLength": "x"}, {"properties": None}, {"required": 1}, {"type": {}}, {"maximum": "x"}, {"items": [1]},
     {"nullable": True}, {"anyOf": [{}]}, {"maxItems": 1e400}],
    ids=repr,
)  # fmt: skip
def test_only_members_without_encoding_are_omitted(part: dict[str, Any]) -> None:
    assert _schema({"title": "t", **part}).startswith(b"\x1a\x01t")


async def test_a_document_is_built_once_until_a_definition_changes() -> None:
    registry = Registry(CORE)
    definitions = [{**copy.deepcopy(made), "metadata": {**made["metadata"]}} for made in crds.manifests()]
    registry.define(definitions)
    documents = OpenApi(registry)
    first = await documents.find(V2, [PROTOBUF])
    assert first is not None
    assert await documents.find(V2, [PROTOBUF]) is first
    registry.define(copy.deepcopy(definitions))  # equal definitions, registered again
    assert await documents.find(V2, [PROTOBUF]) is first
    registry.define(definitions[1:])
    second = await documents.find(V2, [PROTOBUF])
    assert second is not None
    assert second.tag != first.tag
    assert b"getedge.v1alpha1.Runtime\x12" not in second.body
