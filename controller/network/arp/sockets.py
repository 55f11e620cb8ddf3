"""A packet socket for ARP on an interface of the host (packet(7))."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

from controller.network import setns
from controller.network.arp import packets
from controller.network.arp.packets import Heard

_AT_ONCE = 32


class ArpSocket:
    """Hears and speaks ARP on one interface of the host. Raises OSError when it is not there."""

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
        """For an event loop."""
        return self._socket.fileno()

    def listen(self, addresses: Iterable[IPv4Address]) -> None:
        """Hear these senders and no others."""
        setns.attach_filter(self._socket, packets.sent_by(addresses))

    def probe(self, address: IPv4Address) -> None:
        """Ask whether anybody has it."""
        self._send(packets.probe(self._mac, address))

    def defend(self, address: IPv4Address, mac: bytes) -> None:
        """Say that it is ``mac`` that has it."""
        self._send(packets.announcement(mac, address))

    def heard(self) -> list[Heard]:
        """What came."""
        found = []
        try:
            for _ in range(_AT_ONCE):
                data, sender = self._socket.recvfrom(64)
                if sender[2] != socket.PACKET_OUTGOING and (claim := packets.decode(data)):
                    found.append(claim)
        except BlockingIOError:
            pass
        except OSError:
            # One that went down comes up again; one that is gone leaves the socket without an interface.
            if not self._socket.getsockname()[0]:
                raise
        return found

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _send(self, packet: bytes) -> None:
        self._socket.sendto(packet, (self._parent, packets.ETHERTYPE, 0, 0, packets.EVERYBODY))
