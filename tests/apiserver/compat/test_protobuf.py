"""Decoding of protobuf bodies; damaged ones are rejected with bounded time and memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.apiserver import bounds
from controller.apiserver.compat import protobuf
from controller.apiserver.kinds import core_types

KINDS = [
    ("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "Event"), ("v1", "Namespace"), ("v1", "ServiceAccount"),
    ("coordination.k8s.io/v1", "Lease"), ("events.k8s.io/v1", "Event"), ("v1", "DeleteOptions"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("authentication.k8s.io/v1", "TokenReview"),
]  # fmt: skip
DEFINITION = KINDS[8]


def varint(value: int) -> bytes:
    """Encode a varint."""
    head = b""
    while value > 0x7F:
        head, value = head + bytes([value & 0x7F | 0x80]), value >> 7
    return head + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    """Encode a varint or length-delimited field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(raw: bytes, api_version: str = "v1", kind: str = "ConfigMap") -> bytes:
    """A message in its envelope."""
    identity = field(1, api_version.encode()) + field(2, kind.encode())
    return protobuf.MAGIC + field(1, identity) + field(2, raw)


FIELDS: st.SearchStrategy[bytes] = st.recursive(
    st.builds(field, st.integers(0, 20), st.integers(0, (1 << 70) - 1) | st.binary(max_size=9) | st.just(b'{"a":NaN}'))
    | st.builds(
        lambda number, raw: varint(number << 3 | 1) + raw, st.integers(1, 20), st.binary(min_size=8, max_size=8)
    ),
    lambda inner: st.builds(field, st.integers(1, 45), st.lists(inner, max_size=3).map(b"".join)),
    max_leaves=8,
)


@given(identity=st.sampled_from(KINDS), raw=st.lists(FIELDS, max_size=4).map(b"".join) | st.binary(max_size=40))
@example(identity=KINDS[0], raw=field(2, field(1, b"a") + field(2, b"b")))
def test_any_message_is_decoded_or_rejected(identity: tuple[str, str], raw: bytes) -> None:
    assert core_types.name_of(*identity)
    try:
        found = protobuf.decode(body(raw, *identity))
    except ValueError:
        return
    assert bounds.check(found)
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


@given(raw=st.lists(FIELDS, max_size=3).map(b"".join) | st.binary(max_size=40))
def test_any_malformed_envelope_is_rejected(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        protobuf.decode(protobuf.MAGIC + raw)


SPEC, TEXT = 2, b"a"
TIME, LABELS = 8, 11  # of metadata


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff", b"\x80" * 9, b"\x80" * 9 + b"\x7f" + b"\x00", b"\x0a" + varint((1 << 64) - 1), b"\x0a\x05abcd",
        b"\x0b\x0c", b"\x0c", b"\x0e", b"\x0f", b"\x0a\x80",  # groups, unknown types, a truncated length
        field(1, 7), field(2, 7), varint(2 << 3 | 5) + b"abcd", field(4, b"true"),
        field(1, field(1, b"\xff")), field(1, field(1, b"\xed\xa0\x80")), field(2, field(1, b"\xff")),
        field(1, field(TIME, field(1, 1 << 62))), field(1, field(TIME, field(1, b"x"))), field(1, field(LABELS, 1)),
    ],
)  # fmt: skip
def test_a_damaged_message_is_rejected(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        protobuf.decode(body(raw))


@pytest.mark.parametrize(
    "identity", [("v1", "Nothing"), ("", ""), ("v1", "../Pod"), ("runtime/v1", "Unknown"), ("x/" * 99, "ConfigMap")]
)
def test_an_unknown_kind_is_rejected(identity: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="as JSON or YAML"):
        protobuf.decode(body(b"", *identity))


def schema(within: bytes) -> bytes:
    """Encode a CRD with this schema."""
    number = {item.name: item.number for item in core_types.types()["extensions.CustomResourceDefinitionSpec"].fields}
    version = {
        each.name: each.number for each in core_types.types()["extensions.CustomResourceDefinitionVersion"].fields
    }
    return field(2, field(number["versions"], field(version["schema"], field(1, within))))


NUMBERS = {item.name: item.number for item in core_types.types()["extensions.JSONSchemaProps"].fields}


def nested(levels: int, form: int) -> bytes:
    """Nested schemas, each as the single ``items`` schema or as one of several."""
    raw = b""
    for _ in range(levels):
        raw = field(NUMBERS["items"], field(form, raw))
    return raw


@pytest.mark.parametrize("form", [1, 2])
def test_nested_schemas_are_decoded_up_to_a_bound(form: int) -> None:
    found: Any = protobuf.decode(body(schema(nested(50, form)), *DEFINITION))
    assert "items" in found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for levels in (bounds.DEPTH, 1000):
        with pytest.raises(ValueError, match="deep"):
            protobuf.decode(body(schema(nested(levels, form)), *DEFINITION))


@pytest.mark.parametrize("text", [b"[" * 5000, b"NaN", b'"\\ud800"', b'{"a":1e999}', b"\xff", b"1" * 5000, b"[[],"])
def test_embedded_json_is_decoded_as_strictly_as_json_bodies(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        protobuf.decode(body(schema(field(NUMBERS["default"], field(1, text))), *DEFINITION))


def test_numbers_that_json_cannot_represent_are_rejected() -> None:
    for raw in (b"\x00" * 6 + b"\xf0\x7f", b"\xff" * 8):
        with pytest.raises(ValueError, match="not a JSON value"):
            protobuf.decode(body(schema(varint(NUMBERS["maximum"] << 3 | 1) + raw), *DEFINITION))


@pytest.mark.parametrize(
    "raw",
    [field(2, b"") * (1 << 20), field(99, b"") * (1 << 20), field(1, field(13, b"") * 1000) * 500],
    ids=["entries", "unknown", "nested"],
)
def test_megabytes_of_empty_fields_are_rejected_before_they_take_memory(raw: bytes) -> None:
    sent = body(raw)
    tracemalloc.start()
    try:
        with pytest.raises(bounds.ExceededError):
            protobuf.decode(sent)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_nested_messages_are_not_copied() -> None:
    raw = field(NUMBERS["title"], b"x" * (1 << 20))
    for _ in range(60):
        raw = field(NUMBERS["not"], raw)
    sent = body(schema(raw), *DEFINITION)
    tracemalloc.start()
    try:
        protobuf.decode(sent)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
