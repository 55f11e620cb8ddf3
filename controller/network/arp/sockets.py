"""A question to the LAN that waits for its answer, and announcements from inside a container (packet(7))."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address

from controller.container_root import Process
from controller.network import addresses, setns
from controller.network.arp import packets
from controller.network.arp.arp_socket import ArpSocket, close_in_thread
from controller.network.desired_interface import DesiredInterface

_ATTEMPTS, _SECONDS = 3, 0.4  # of a question
_ENTRY_SECONDS = 10.0  # for entering a container's network
# RFC 5227 waits two seconds between its two announcements, in which the container may have moved its link.
_REPEATED_SECONDS = 0.05


def who_has(link: str, address: IPv4Address) -> str:
    """Return the MAC address that answers on a link of this thread's network namespace, "" without an answer.

    Blocks for at most 1.2 s. Raises OSError when the link is missing or down.
    """
    arp = ArpSocket(link)
    try:
        arp.listen([address])
        for _ in range(_ATTEMPTS):
            arp.probe(address)
            if answer := _answer(arp):
                return answer
        return ""
    finally:
        arp.close()


def _answer(arp: ArpSocket) -> str:
    until = time.monotonic() + _SECONDS
    waiting = select.poll()  # select() takes no descriptor above 1023
    waiting.register(arp, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        waiting.poll(left * 1000)
        if heard := arp.receive():
            return heard[0].mac.hex(":")
    return ""


async def announce(process: Process, links: Sequence[DesiredInterface]) -> None:
    """Announce the addresses of a container's links from inside, so that siblings on its parent hear it.

    Repeats it a moment later, without letting the caller wait. Raises OSError.
    """
    announcements = [
        (link.name, packets.announcement(addresses.mac_bytes(link.mac_address), link.address.ip))
        for link in links
        if link.address
    ]
    if not announcements:
        return
    speaker = await setns.entered(process, _open_any, _ENTRY_SECONDS)
    try:
        _speak(speaker, announcements)
    except OSError:
        close_in_thread(speaker)
        raise
    asyncio.get_running_loop().call_later(_REPEATED_SECONDS, _repeat, speaker, announcements)


def _repeat(speaker: socket.socket, announcements: Sequence[tuple[str, bytes]]) -> None:
    # The container may have stopped, or lost a link, since.
    with contextlib.suppress(OSError):
        _speak(speaker, announcements)
    close_in_thread(speaker)


def _speak(speaker: socket.socket, announcements: Sequence[tuple[str, bytes]]) -> None:
    for name, packet in announcements:
        speaker.sendto(packet, (name, packets.ETHERTYPE, 0, 0, packets.BROADCAST_MAC))


def _open_any() -> socket.socket:
    """Open a socket in the current thread's network namespace; it stays in that namespace."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
