"""Reads and changes the kernel's network configuration over a netlink socket (netlink(7), rtnetlink(7)).

Takes a tenth of a millisecond, where a program takes several and a fork of this process. But the kernel may hold its
lock of all interfaces for seconds while it removes a namespace: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from controller.network.netlink_attributes import Attributes, aligned, attributes

_REQUEST, _ACKNOWLEDGE, _DUMP, _INTERRUPTED, _EXPLAINED = 0x1, 0x4, 0x300, 0x10, 0x200  # flags
_ERROR, _DONE = 2, 3  # types of messages
_KERNEL = 0  # the kernel's port id
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _EXPLANATION = 270, 10, 11, 1  # linux/netlink.h
_SIOCGIFINDEX, _IFREQ = 0x8933, struct.Struct("=16si20x")  # netdevice(7)
_HEADER, _ERRNO = struct.Struct("=IHHII"), struct.Struct("=i")
# Until no change comes between the first and the last message: a namespace at its start changes several times.
_ATTEMPTS = 10
_RECEIVE_BYTES = 64 * 1024  # larger than any message of a dump


class Entry(NamedTuple):
    """One entry of a table: the fields of its fixed header, and its attributes by type."""

    fields: tuple[int, ...]
    attributes: Attributes


class Message(NamedTuple):
    """One message: its type, its flags, and its body, which is a fixed header with attributes."""

    kind: int
    flags: int
    body: bytes


def connect() -> socket.socket:
    """Open a socket to the kernel in this thread's network namespace. Raises OSError."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        # Then nobody else can send to it: in a container's namespace, a program in the container could flood it.
        kernel.connect((_KERNEL, 0))
        # The kernel explains its errors, and does not repeat the request in front of the explanation.
        for option in (_CAP_ACK, _EXT_ACK):
            kernel.setsockopt(_SOL_NETLINK, option, 1)
    except OSError:
        kernel.close()
        raise
    return kernel


def index(kernel: socket.socket, name: str) -> int:
    """Return the ifindex of a link in the socket's network namespace. Raises OSError when there is none."""
    found: int = _IFREQ.unpack(fcntl.ioctl(kernel, _SIOCGIFINDEX, _IFREQ.pack(name.encode(), 0)))[1]
    return found


def table(kernel: socket.socket, kind: int, header: struct.Struct, family: int = 0) -> list[Entry]:
    """Return all entries of a table; ``header`` is the layout of its messages. Raises OSError."""
    for _ in range(_ATTEMPTS):
        _send(kernel, Message(kind, _DUMP, bytes([family]).ljust(header.size, b"\0")))
        messages = list(_answer(kernel))
        # Any of them may say so, also the last one, which is no entry.
        if not any(flags & _INTERRUPTED for _, flags, _ in messages):
            entries = [body for kind, _, body in messages if kind != _DONE]
            return [Entry(header.unpack_from(each), attributes(each[header.size :])) for each in entries]
    raise OSError(errno.EBUSY, "the network configuration keeps changing")


def change(kernel: socket.socket, request: Message) -> None:
    """Have the kernel make a change. Raises OSError with the kernel's explanation."""
    _send(kernel, request._replace(flags=request.flags | _ACKNOWLEDGE))
    for _ in _answer(kernel):
        pass


def _send(kernel: socket.socket, request: Message) -> None:
    length = _HEADER.size + len(request.body)
    kernel.send(_HEADER.pack(length, request.kind, request.flags | _REQUEST, 0, 0) + request.body)


def _answer(kernel: socket.socket) -> Iterator[Message]:
    """Yield each message of an answer, up to and including its last one. Raises OSError if the request failed."""
    while True:  # until the kernel says that it is done
        for message in _messages(_received(kernel)):
            if message.kind in (_ERROR, _DONE):
                _check(message)
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
        at += aligned(length)


def _check(last: Message) -> None:
    """Raise OSError if the last message of an answer has an error."""
    if len(last.body) >= _ERRNO.size and (number := -_ERRNO.unpack_from(last.body)[0]) > 0:
        explanation = _explanation(last)
        raise OSError(number, f"{os.strerror(number)} ({explanation})" if explanation else os.strerror(number))


def _explanation(last: Message) -> str:
    """Return the kernel's own words, "" for none; they follow the header of the request."""
    explained = last.kind == _ERROR and last.flags & _EXPLAINED
    found = attributes(last.body[_ERRNO.size + _HEADER.size :]) if explained else {}
    return found.get(_EXPLANATION, b"").rstrip(b"\0").decode(errors="replace")
