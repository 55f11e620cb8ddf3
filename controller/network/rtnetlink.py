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
_KERNEL = 0  # the kernel's port id
_HEADER, _ATTRIBUTE, _ERRNO = struct.Struct("=IHHII"), struct.Struct("=HH"), struct.Struct("=i")
_TYPE = 0x3FFF  # the type of an attribute without its flags
# Until no change comes between the first and the last message: a namespace at its start changes several times.
_ATTEMPTS = 10
_RECEIVE_BYTES = 64 * 1024  # larger than any message of a dump

Attributes = dict[int, bytes]


class Entry(NamedTuple):
    """One entry of a table: the fields of its fixed header, and its attributes by type."""

    fields: tuple[int, ...]
    attributes: Attributes


class Message(NamedTuple):
    """One message without its header."""

    kind: int
    flags: int
    body: bytes


def connect() -> socket.socket:
    """Open a socket to the kernel in this thread's network namespace. Raises OSError."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        # Then nobody else can send to it: in a container's namespace, a program in the container could flood it.
        kernel.connect((_KERNEL, 0))
    except OSError:
        kernel.close()
        raise
    return kernel


def table(kernel: socket.socket, kind: int, header: struct.Struct, family: int = 0) -> list[Entry]:
    """Return all entries of a table; ``header`` is the layout of its messages. Raises OSError."""
    for _ in range(_ATTEMPTS):
        body = bytes([family]).ljust(header.size, b"\0")
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 0, 0) + body)
        messages = list(_dump(kernel))
        # Any of them may say so, also the last one, which is no entry.
        if not any(flags & _INTERRUPTED for _, flags, _ in messages):
            entries = [body for kind, _, body in messages if kind != _DONE]
            return [Entry(header.unpack_from(each), attributes(each[header.size :])) for each in entries]
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


def _dump(kernel: socket.socket) -> Iterator[Message]:
    """Yield each message of a dump, up to and including its last one. Raises OSError if the dump failed."""
    while True:  # until the kernel says that the dump is done
        for message in _messages(_received(kernel)):
            if message.kind in (_ERROR, _DONE):
                _check(message.body)
                yield message
                return
            yield message


def _received(kernel: socket.socket) -> bytes:
    data, _, flags, sender = kernel.recvmsg(_RECEIVE_BYTES)
    if flags & socket.MSG_TRUNC:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    # Nobody can forge the sender's port id.
    return data if sender[0] == _KERNEL else b""


def _messages(data: bytes) -> Iterator[Message]:
    at = 0
    while at < len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        yield Message(kind, flags, data[at + _HEADER.size : at + length])
        at += _aligned(length)


def _check(body: bytes) -> None:
    """Raise OSError if the last message of a dump has an error."""
    if len(body) >= _ERRNO.size and (number := -_ERRNO.unpack_from(body)[0]) > 0:
        raise OSError(number, os.strerror(number))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
