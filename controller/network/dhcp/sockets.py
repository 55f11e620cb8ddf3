"""Packet sockets on a link inside a container's network namespace (packet(7), setns(2)).

An open socket keeps the namespace alive with its links and addresses, so its owner must close it when the container
ends. ``open_link`` and ``close`` block: call them in a thread.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv4Address

from controller.container_root import Process
from controller.network import setns
from controller.network.arp.arp_socket import ArpSocket
from controller.network.dhcp import frames
from controller.network.dhcp.machine import Action
from controller.network.dhcp.requests import Ask

_ETH_P_IP = 0x0800
_LARGEST = 2048
_SIOCGIFADDR = 0x8915
_AT_ONCE = 16  # packets read before the event loop runs other callbacks


class LinkSocket:
    """Sends and receives DHCP on one link, independent of its addresses. Raises OSError when the link is gone.

    ``arp`` receives the claims of the address that was probed last; ``held`` is the link's address at the opening.
    """

    def __init__(
        self, packets: socket.socket, port: socket.socket | None, arp: ArpSocket, link: str, held: IPv4Address | None
    ) -> None:
        self.arp = arp
        self.held = held
        self._packets = packets
        self._port = port  # binds the client's port, so that the kernel does not answer servers with "port unreachable"
        self._link = link

    def fileno(self) -> int:
        """Return the descriptor for an event loop."""
        return self._packets.fileno()

    def send(self, what: Action) -> None:
        """Send a client's message, or its question to the LAN."""
        if isinstance(what, Ask):
            self.arp.listen([what.address])
            self.arp.probe(what.address)
            return
        source = what.message.client_address
        packet = frames.wrap(what.message.encode(), source, what.destination)
        self._packets.sendto(packet, (self._link, _ETH_P_IP, 0, 0, what.mac))

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return the messages that arrived, each with its sender's hardware address."""
        found = []
        try:
            for _ in range(_AT_ONCE):
                packet, sender = self._packets.recvfrom(_LARGEST)
                if payload := frames.unwrap(packet):
                    found.append((payload, bytes(sender[4])))
        except BlockingIOError:
            pass
        except OSError:
            # A link that is down may come up again; a removed one leaves the socket unbound.
            if not self._packets.getsockname()[0]:
                raise
        return found

    def close(self) -> None:
        """Close the sockets, which releases the namespace. Blocks for some 20 ms."""
        self._packets.close()
        self.arp.close()
        if self._port is not None:
            self._port.close()


def open_link(process: Process, link: str) -> LinkSocket:
    """Open a socket on a link in a process's network namespace. Raises OSError."""
    return setns.inside(process, lambda: _open(link))


def _open(link: str) -> LinkSocket:
    # With protocol 0 nothing arrives before the filter is attached.
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        setns.attach_filter(packets, frames.FILTER)
        packets.bind((link, _ETH_P_IP))
        arp = ArpSocket(link)
        return LinkSocket(packets, _port(link), arp, link, _address_of(packets, link))
    except OSError:
        packets.close()
        raise


def _address_of(any_socket: socket.socket, link: str) -> IPv4Address | None:
    """Return the primary address of the link (netdevice(7)), None without one."""
    try:
        answer = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("16s24x", link.encode()))
    except OSError:
        return None
    return IPv4Address(answer[20:24])


def _port(link: str) -> socket.socket | None:
    """Bind the client's port; None when the runtime itself uses it."""
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Bound to the link, so that each of several links of a runtime can have the port.
        port.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # it is never read
        port.bind((str(IPv4Address(0)), frames.CLIENT_PORT))
    except OSError:
        port.close()
        return None
    return port
