"""ARP for IPv4 on Ethernet (RFC 826), and which of it wakes us. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import NamedTuple

ETHERTYPE = 0x0806
EVERYBODY = b"\xff" * 6
REQUEST = 1
_ETHERNET, _IPV4 = 1, 0x0800
_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_SENDER_OFFSET = 14
_NOBODY = bytes(6)
_NOWHERE = IPv4Address(0)


class Heard(NamedTuple):
    """Who says to have which address."""

    address: IPv4Address
    mac: bytes


def probe(mac: bytes, address: IPv4Address) -> bytes:
    """Asks whether anybody has the address, without claiming it (RFC 5227 section 2.1.1)."""
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, REQUEST, mac, _NOWHERE.packed, _NOBODY, address.packed)


def announcement(mac: bytes, address: IPv4Address) -> bytes:
    """Tells everybody who has the address (RFC 5227 section 2.3)."""
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, REQUEST, mac, address.packed, _NOBODY, address.packed)


def decode(data: bytes) -> Heard | None:
    """Who sent the packet, None where it claims no address.

    Probes of others claim none: switches send them to find out who is there (device tracking), and count for nothing.
    """
    if len(data) < _PACKET.size:
        return None
    hardware, protocol, mac_length, address_length, _, mac, sender, _, _ = _PACKET.unpack(data[: _PACKET.size])
    if (hardware, protocol, mac_length, address_length) != (_ETHERNET, _IPV4, 6, 4):
        return None
    address = IPv4Address(sender)
    return None if address.is_unspecified else Heard(address, mac)


def sent_by(addresses: Iterable[IPv4Address]) -> tuple[tuple[int, int, int, int], ...]:
    """A filter of the kernel's (classic BPF) for ARP that one of these addresses sent; all else does not wake us."""
    take, leave = (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)
    tests = [step for address in addresses for step in ((0x15, 0, 1, int(address)), take)]
    return ((0x20, 0, 0, _SENDER_OFFSET), *tests, leave)
