"""Watches the host's interfaces, addresses and routes for changes, for example a parent interface that came back.

A kernel message (rtnetlink(7)) only means "read again" and is not parsed. Changes come in bursts (each container
causes about ten), so they are collected until a quiet period.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable

logger = logging.getLogger(__name__)

_GROUPS = 0x1 | 0x10 | 0x40  # RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE
_MESSAGE_BYTES = 65536


def route_socket() -> socket.socket:
    """Return a socket that receives the kernel's notifications of links, IPv4 addresses and routes."""
    messages = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    messages.bind((0, _GROUPS))
    return messages


async def changes(
    *,
    # Longer pauses delay repairs by seconds: each repair causes messages itself, which postpone the next comparison.
    quiet: float = 0.1,
    at_most: float = 0.5,
    # The kernel reports messages that it dropped, and each resync reads the parent interfaces anyway.
    safety: float = 300.0,
    open_socket: Callable[[], socket.socket] = route_socket,
) -> AsyncGenerator[None, None]:
    """Yield after each burst of changes: ``quiet`` seconds after its last message, ``at_most`` after its first.

    Also yields after ``safety`` seconds without a message, because messages can be lost. Close the iterator
    (contextlib.aclosing) to close the socket. Raises OSError when the socket cannot be opened.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    with open_socket() as messages:
        loop.add_reader(messages, _drain, messages, changed)
        try:
            while True:  # no controller: it yields bursts of what a socket receives
                if await _is_set_within(changed, safety):
                    await _until_quiet(changed, quiet, at_most)
                yield
        finally:
            # Before the socket is closed: its number may then belong to another file of the loop.
            loop.remove_reader(messages)


def _drain(messages: socket.socket, changed: asyncio.Event) -> None:
    """Read all pending messages. Lost messages (ENOBUFS) count as a change, since every change triggers a full read."""
    changed.set()
    try:
        while True:  # until the socket is empty
            messages.recv(_MESSAGE_BYTES)
    except BlockingIOError:
        pass
    except OSError as error:
        logger.debug("Lost some notifications of network changes: %s", error)


async def _until_quiet(changed: asyncio.Event, quiet: float, at_most: float) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + at_most
    changed.clear()
    while (left := deadline - clock()) > 0 and await _is_set_within(changed, min(quiet, left)):
        changed.clear()


async def _is_set_within(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
