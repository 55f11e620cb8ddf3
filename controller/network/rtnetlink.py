"""Reads tables of the kernel's network configuration over a netlink socket (netlink(7), rtnetlink(7)).

Takes a tenth of a millisecond, where a program takes several and a fork of this process. But the kernel may hold its
lock of all interfaces for seconds while it removes a namespace: call it in a thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

GET_LINK, GET_ADDRESS, GET_ROUTE = 18, 22, 26

_REQUEST, _DUMP, _INTERRUPTED = 0x1, 0x300, 0x10  # flags
_ERROR, _DONE = 2, 3  # types of messages
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_TYPE = 0x3FFF  # the type of an attribute without its flags
# Until no change comes between the first and the last message: a namespace at its start changes several times.
_ATTEMPTS = 10
_RECEIVE_BYTES = 64 * 1024  # larger than any message of a dump

Attributes = dict[int, bytes]


class Entry(NamedTuple):
    """One entry of a table: the fields of its fixed header, and its attributes by type."""

    fields: tuple[int, ...]
    attributes: Attributes


def table(kernel: socket.socket, kind: int, header: struct.Struct, family: int = 0) -> list[Entry]:
    """Return all entries of a table; ``header`` is the layout of its messages. Raises OSError."""
    for _ in range(_ATTEMPTS):
        body = bytes([family]).ljust(header.size, b"\0")
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 0, 0) + body)
        messages = list(_messages(kernel))
        if not any(flags & _INTERRUPTED for flags, _ in messages):
            return [Entry(header.unpack_from(each), attributes(each[header.size :])) for _, each in messages]
    raise OSError(errno.EBUSY, "the network configuration keeps changing")


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
        at += _aligned(length)


def _messages(kernel: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield flags and body of each message of a dump, up to its last one."""
    while True:  # until the kernel says that the dump is done
        data, at = kernel.recv(_RECEIVE_BYTES), 0
        while at < len(data):
            length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", body)[0]
                raise OSError(number, os.strerror(number))
            yield flags, body
            at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
