"""Announces a container's addresses to its LANs from inside the container, so that siblings on its parent hear it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from controller.container_root import Process
from controller.network import addresses, setns
from controller.network.arp import packets
from controller.network.desired_interface import DesiredInterface

# RFC 5227 waits two seconds between announcements; that is too long within a reconcile pass.
_TIMES, _SECONDS_BETWEEN = 2, 0.05


async def announce(process: Process, links: Sequence[DesiredInterface]) -> None:
    """Announce the addresses of a container's links to its LANs. Raises OSError."""
    packets_by_link = [
        (link.name, packets.announcement(addresses.mac_bytes(link.mac_address), link.address.ip))
        for link in links
        if link.address
    ]
    if not packets_by_link:
        return
    with await asyncio.to_thread(setns.inside, process, _open) as speaker:
        for number in range(_TIMES):
            await asyncio.sleep(_SECONDS_BETWEEN if number else 0)
            for name, packet in packets_by_link:
                speaker.sendto(packet, (name, packets.ETHERTYPE, 0, 0, packets.BROADCAST_MAC))


def _open() -> socket.socket:
    """Open a socket in the current thread's network namespace; it stays in that namespace."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
