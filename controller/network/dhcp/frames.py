"""IPv4 and UDP headers of a DHCP message, for packet sockets on links without an address (RFC 791, RFC 768). Pure."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

CLIENT_PORT, SERVER_PORT = 68, 67
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_UDP_PROTOCOL = 17
_FRAGMENT = 0x3FFF  # more fragments, or an offset

# A classic BPF filter for UDP to port 68, except later fragments, so that other LAN traffic does not wake us.
# Offsets count from the IP header, for packet sockets without a link header.
FILTER = (
    (0x30, 0, 0, 9),  # protocol
    (0x15, 0, 6, _UDP_PROTOCOL),
    (0x28, 0, 0, 6),  # fragment offset
    (0x45, 4, 0, 0x1FFF),
    (0xB1, 0, 0, 0),  # length of the IP header
    (0x48, 0, 0, 2),  # destination port
    (0x15, 0, 1, CLIENT_PORT),
    (0x06, 0, 0, 0xFFFF),  # accept
    (0x06, 0, 0, 0),  # drop
)


def wrap(payload: bytes, source: IPv4Address, destination: IPv4Address) -> bytes:
    """Return the IP packet that carries a client's message."""
    length = _UDP.size + len(payload)
    pseudo = source.packed + destination.packed + struct.pack("!HH", _UDP_PROTOCOL, length)
    udp = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, 0)
    # A UDP checksum of 0 means that there is none, so a computed 0 is sent as all ones (RFC 768).
    udp = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, _checksum(pseudo + udp + payload) or 0xFFFF)
    fields = (0x45, 0x10, _IP.size + length, 0, 0x4000, 64, _UDP_PROTOCOL)
    head = _IP.pack(*fields, 0, source.packed, destination.packed)
    return _IP.pack(*fields, _checksum(head), source.packed, destination.packed) + udp + payload


def unwrap(packet: bytes) -> bytes:
    """Return the payload of a UDP packet to the client's port, b"" for anything else.

    Ignores the checksum: on virtual links it is often left to offloading hardware that does not exist.
    """
    if len(packet) < _IP.size:
        return b""
    version, _, total, _, fragment, _, protocol, *_ = _IP.unpack(packet[: _IP.size])
    header = (version & 15) * 4
    if version >> 4 != 4 or protocol != _UDP_PROTOCOL or fragment & _FRAGMENT or not _IP.size <= header <= total - 8:
        return b""
    if len(packet) < total:
        return b""
    _, port, length, _ = _UDP.unpack(packet[header : header + _UDP.size])
    # The shorter length counts: Ethernet pads short packets, and a header may claim more than there is.
    return packet[header + _UDP.size : min(total, header + length)] if port == CLIENT_PORT else b""


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
