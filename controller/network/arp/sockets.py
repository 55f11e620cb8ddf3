"""Packet sockets for ARP (packet(7)): on a host interface, for one question, and for announcements in a container."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from controller.container_root import Process
from controller.network import addresses, setns
from controller.network.arp import packets
from controller.network.arp.packets import ArpClaim
from controller.network.desired_interface import DesiredInterface

# Packets read before the event loop runs other callbacks: a flood of ARP must not hold it up.
_AT_ONCE = 32
_ATTEMPTS, _SECONDS = 3, 0.4  # of a question
# RFC 5227 waits two seconds between its two announcements, in which the container may have moved its link.
_REPEATED_SECONDS = 0.05


class ArpSocket:
    """Sends and receives ARP on one host interface. Raises OSError when the interface does not exist."""

    def __init__(self, parent: str) -> None:
        self._parent = parent
        # With protocol 0 nothing arrives before the filter is attached.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            self.listen(())
            self._socket.bind((parent, packets.ETHERTYPE))
            self._mac = bytes(self._socket.getsockname()[4])
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor for an event loop."""
        return self._socket.fileno()

    def listen(self, addresses: Iterable[IPv4Address]) -> None:
        """Receive packets of these senders only."""
        setns.attach_filter(self._socket, packets.sent_by(addresses))

    def probe(self, address: IPv4Address) -> None:
        """Ask who has the address."""
        self._send(packets.probe(self._mac, address))

    def defend(self, address: IPv4Address, mac: bytes) -> None:
        """Announce that ``mac`` has the address."""
        self._send(packets.announcement(mac, address))

    def receive(self) -> list[ArpClaim]:
        """Return the claims that arrived."""
        found = []
        # Nothing more to read, or an interface that went down, and may come up again.
        with contextlib.suppress(OSError):
            for _ in range(_AT_ONCE):
                data, sender = self._socket.recvfrom(64)
                if sender[2] != socket.PACKET_OUTGOING and (claim := packets.decode(data)):
                    found.append(claim)
        return found

    @property
    def is_unbound(self) -> bool:
        """Whether the interface was removed, which the socket outlives."""
        return not self._socket.getsockname()[0]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, packet: bytes) -> None:
        self._socket.sendto(packet, (self._parent, packets.ETHERTYPE, 0, 0, packets.BROADCAST_MAC))


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
    speaker = await asyncio.to_thread(setns.inside, process, _open_any)
    try:
        _speak(speaker, announcements)
    except OSError:
        close_in_thread(speaker)
        raise
    asyncio.get_running_loop().call_later(_REPEATED_SECONDS, _repeat, speaker, announcements)


def close_in_thread(packet_socket: ArpSocket | socket.socket) -> None:
    """Close a packet socket without blocking the event loop: the kernel waits 10 to 20 ms for all readers (RCU)."""
    asyncio.get_running_loop().run_in_executor(None, packet_socket.close)


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
