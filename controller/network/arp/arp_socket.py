"""A packet socket for ARP on one link (packet(7)), of the host or of the network namespace it is opened in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Protocol

from controller.network import setns
from controller.network.arp import packets
from controller.network.arp.packets import ArpClaim

# Packets read before the event loop runs other callbacks: a flood of ARP must not hold it up.
_AT_ONCE = 32
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23  # linux/socket.h, linux/if_packet.h


class Closeable(Protocol):
    """A socket, or an owner of sockets."""

    def close(self) -> None:
        """Close it."""


class ArpSocket:
    """Sends and receives ARP on one link. Raises OSError when the link does not exist."""

    def __init__(self, parent: str) -> None:
        self._parent = parent
        # With protocol 0 nothing arrives before the filter is attached.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            self.listen(())
            # Kernels before 4.20 do not know it: then what a runtime sends wakes us for nothing.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
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


def close_in_thread(packet_socket: Closeable) -> None:
    """Close a packet socket without blocking the event loop: the kernel waits 10 to 20 ms for all readers (RCU)."""
    asyncio.get_running_loop().run_in_executor(None, packet_socket.close)
