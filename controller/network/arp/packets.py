"""ARP packets for IPv4 on Ethernet (RFC 826), and the kernel filter for them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import NamedTuple

ETHERTYPE = 0x0806
BROADCAST_MAC = b"\xff" * 6
REQUEST = 1
_ETHERNET, _IPV4 = 1, 0x0800
_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_SENDER_OFFSET = 14
_UNKNOWN_MAC = bytes(6)
_UNSPECIFIED = IPv4Address(0)


class ArpClaim(NamedTuple):
    """A claim: this MAC address says that it has this IP address."""

    address: IPv4Address
    mac: bytes


def probe(mac: bytes, address: IPv4Address) -> bytes:
    """Return a packet that asks who has the address without claiming it (RFC 5227 section 2.1.1)."""
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, REQUEST, mac, _UNSPECIFIED.packed, _UNKNOWN_MAC, address.packed)


def announcement(mac: bytes, address: IPv4Address) -> bytes:
    """Return a packet that announces who has the address (RFC 5227 section 2.3)."""
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, REQUEST, mac, address.packed, _UNKNOWN_MAC, address.packed)


def decode(data: bytes) -> ArpClaim | None:
    """Return the claim in a packet, None when it claims no address.

    Probes claim no address: switches send them to discover hosts (device tracking), so they are ignored.
    """
    if len(data) < _PACKET.size:
        return None
    hardware, protocol, mac_length, address_length, _, mac, sender, _, _ = _PACKET.unpack(data[: _PACKET.size])
    if (hardware, protocol, mac_length, address_length) != (_ETHERNET, _IPV4, 6, 4):
        return None
    address = IPv4Address(sender)
    return None if address.is_unspecified else ArpClaim(address, mac)


def sent_by(addresses: Iterable[IPv4Address]) -> tuple[tuple[int, int, int, int], ...]:
    """Return a classic BPF filter for ARP sent by one of these addresses; the kernel drops everything else."""
    take, leave = (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)
    # Not one shared accept at the end: a conditional jump of classic BPF skips at most 255 instructions.
    tests = [step for address in addresses for step in ((0x15, 0, 1, int(address)), take)]
    return ((0x20, 0, 0, _SENDER_OFFSET), *tests, leave)
