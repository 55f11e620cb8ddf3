"""Announces a container's addresses to its LANs from inside the container, so that siblings on its parent hear it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.container_root import Process
from controller.network import setns
from controller.network.arp import packets

# RFC 5227 waits two seconds between announcements; that is too long within a reconcile pass.
_TIMES, _SECONDS_BETWEEN = 2, 0.05


class Claim(NamedTuple):
    """A link inside a container, and its new address."""

    link: str
    mac: bytes
    address: IPv4Address


async def announce(process: Process, claims: Sequence[Claim]) -> None:
    """Announce the container's addresses to its LANs. Raises OSError."""
    if not claims:
        return
    with await asyncio.to_thread(setns.inside, process, _open) as speaker:
        for number in range(_TIMES):
            await asyncio.sleep(_SECONDS_BETWEEN if number else 0)
            for claim in claims:
                packet = packets.announcement(claim.mac, claim.address)
                speaker.sendto(packet, (claim.link, packets.ETHERTYPE, 0, 0, packets.BROADCAST_MAC))


def _open() -> socket.socket:
    """Open a socket in the current thread's network namespace; it stays in that namespace."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
