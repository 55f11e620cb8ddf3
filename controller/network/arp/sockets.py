"""A packet socket for ARP on a host interface (packet(7))."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

from controller.network import setns
from controller.network.arp import packets
from controller.network.arp.packets import ArpClaim

_AT_ONCE = 32


class ArpSocket:
    """Sends and receives ARP on one host interface. Raises OSError when the interface does not exist."""

    def __init__(self, parent: str) -> None:
        self._parent = parent
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
        try:
            for _ in range(_AT_ONCE):
                data, sender = self._socket.recvfrom(64)
                if sender[2] != socket.PACKET_OUTGOING and (claim := packets.decode(data)):
                    found.append(claim)
        except BlockingIOError:
            pass
        except OSError:
            # An interface that is down may come up again; a removed one leaves the socket unbound.
            if not self._socket.getsockname()[0]:
                raise
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, packet: bytes) -> None:
        self._socket.sendto(packet, (self._parent, packets.ETHERTYPE, 0, 0, packets.BROADCAST_MAC))
