"""Reads and changes the links of the host itself, whose network namespace we run in; see link_changes.py."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

from controller import errors
from controller.api import reasons
from controller.network import link_changes, rtnetlink
from controller.network import rtnetlink_types as types
from controller.network.link_changes import Change
from controller.network.rtnetlink import Entry

T = TypeVar("T")

_SECONDS = 10.0


@dataclass(frozen=True)
class Configuration:
    """How a link is configured: ``addresses`` are those that were given to it, as (address/prefix, broadcast)."""

    mac_address: str
    up: bool
    mtu: int
    addresses: tuple[tuple[str, str], ...]


async def configuration(name: str) -> Configuration:
    """Return a link's configuration. Raises errors.Retry(STEP_FAILED), also when there is no such link."""
    return await _run(lambda kernel: _configuration(kernel, name))


async def apply(changes: Sequence[Change]) -> None:
    """Make the changes in order, up to the first failure. Raises errors.Retry(STEP_FAILED)."""
    given_up = threading.Event()
    try:
        await _run(lambda kernel: link_changes.apply(kernel, changes, given_up.is_set))
    finally:
        # The timeout only ends our waiting: the thread would go on and change links behind our back.
        given_up.set()


async def _run(work: Callable[[socket.socket], T]) -> T:
    """Return the result of ``work`` with a socket to the kernel, in a thread."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.to_thread(_connected, work)
    except OSError as error:  # a TimeoutError is one
        message = f"Cannot configure the network of the host: {error.strerror or 'the kernel is busy'}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error


def _connected(work: Callable[[socket.socket], T]) -> T:
    with rtnetlink.connect() as kernel:
        return work(kernel)


def _configuration(kernel: socket.socket, name: str) -> Configuration:
    number = rtnetlink.index(kernel, name)
    links = rtnetlink.table(kernel, types.GET_LINK, types.LINK_HEADER)
    link = next((link for link in links if link.fields[2] == number), None)
    if link is None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    return Configuration(
        mac_address=link.attributes.get(types.LINK_MAC, b"").hex(":"),
        up=bool(link.fields[3] & types.LINK_UP),
        mtu=int.from_bytes(link.attributes[types.LINK_MTU], sys.byteorder),
        addresses=tuple(
            _address(entry)
            for entry in rtnetlink.table(kernel, types.GET_ADDRESS, types.ADDRESS_HEADER)
            # The kernel creates the IPv6 address of link scope itself when the link comes up.
            if entry.fields[4] == number and entry.fields[3] != types.ON_LINK
        ),
    )


def _address(entry: Entry) -> tuple[str, str]:
    # With a peer, that is the other attribute.
    own = entry.attributes.get(types.ADDRESS_LOCAL) or entry.attributes[types.ADDRESS_PREFIX]
    broadcast = entry.attributes.get(types.ADDRESS_BROADCAST)
    return f"{ip_address(own)}/{entry.fields[1]}", str(ip_address(broadcast)) if broadcast else ""
