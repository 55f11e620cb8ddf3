"""Attributes of netlink messages (netlink(7)): each is a length, a type and a value, at a multiple of four bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ATTRIBUTE = struct.Struct("=HH")
_NESTED, _TYPE = 0x8000, 0x3FFF  # a flag of an attribute's type, and the type without its flags

Attributes = dict[int, bytes]


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute as bytes."""
    length = _ATTRIBUTE.size + len(value)
    return (_ATTRIBUTE.pack(length, kind) + value).ljust(aligned(length), b"\0")


def nested(kind: int, *inner: bytes) -> bytes:
    """Return an attribute that consists of others."""
    return attribute(kind | _NESTED, b"".join(inner))


def attributes(data: bytes) -> Attributes:
    """Return the attributes in ``data`` by type."""
    return dict(attribute_list(data))


def attribute_list(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute, some of which may have the same type."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, data[at + _ATTRIBUTE.size : at + length]
        at += aligned(length)


def aligned(length: int) -> int:
    """Return the length with the padding behind it."""
    return (length + 3) & ~3
