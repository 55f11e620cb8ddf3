"""DHCP messages (RFC 2131 section 2, options of RFC 2132): bytes and back. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)

SUBNET_MASK, ROUTER, NAME_SERVERS, HOST_NAME = 1, 3, 6, 12
REQUESTED_ADDRESS, LEASE_SECONDS, OVERLOAD, KIND, SERVER = 50, 51, 52, 53, 54
PARAMETERS, MAXIMUM_SIZE, RENEWAL_SECONDS, REBINDING_SECONDS, CLIENT_ID = 55, 57, 58, 59, 61
_PAD, _END = 0, 255

_WANTED = bytes([SUBNET_MASK, ROUTER, NAME_SERVERS, LEASE_SECONDS, SERVER, RENEWAL_SECONDS, REBINDING_SECONDS])
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = bytes([99, 130, 83, 99])
_BOOTREQUEST, _BOOTREPLY, _ETHERNET, _MAC_LENGTH = 1, 2, 1, 6
_SMALLEST = 300  # some relays drop shorter ones (RFC 1542 section 2.1)
_NOWHERE = IPv4Address(0)


@dataclass(frozen=True)
class Message:
    """One message. ``your_address`` is what a server gives, ``client_address`` what the client already uses."""

    kind: int
    transaction: int
    mac: bytes
    client_address: IPv4Address = _NOWHERE
    your_address: IPv4Address = _NOWHERE
    seconds: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes of a client's message."""
        head = _FIXED.pack(
            *(_BOOTREQUEST, _ETHERNET, _MAC_LENGTH, 0, self.transaction, min(self.seconds, 0xFFFF), 0),
            *(self.client_address.packed, self.your_address.packed, _NOWHERE.packed, _NOWHERE.packed),
            *(self.mac, b"", b"", _COOKIE),
        )
        options = {KIND: bytes([self.kind]), PARAMETERS: _WANTED, MAXIMUM_SIZE: b"\x05\xdc", **self.options}
        body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
        return (head + body + bytes([_END])).ljust(_SMALLEST, b"\0")

    def addresses(self, option: int) -> tuple[IPv4Address, ...]:
        """The addresses in an option, none when it is missing or broken."""
        value = self.options.get(option, b"")
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value) - len(value) % 4, 4))

    @property
    def server(self) -> IPv4Address | None:
        """Which server sent it, None where it does not say so in four bytes (RFC 2132 section 9.7)."""
        value = self.options.get(SERVER, b"")
        return IPv4Address(value) if len(value) == 4 else None

    def number(self, option: int) -> int | None:
        """The 32-bit number in an option."""
        value = self.options.get(option, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None


def decode(data: bytes) -> Message | None:
    """A server's answer, None for anything else."""
    if len(data) < _FIXED.size:
        return None
    reply, hardware, length, _, transaction, seconds, _, client, your, _, _, mac, name, file, cookie = _FIXED.unpack(
        data[: _FIXED.size]
    )
    if (reply, hardware, length, cookie) != (_BOOTREPLY, _ETHERNET, _MAC_LENGTH, _COOKIE):
        return None
    options = _joined(data[_FIXED.size :])
    overload = options.get(OVERLOAD, b"\0")[:1]
    for bit, more in ((1, file), (2, name)):  # RFC 2131 section 4.1: options go on in these fields
        if overload and overload[0] & bit:
            options = {**_joined(more), **options}
    kind = options.get(KIND, b"")
    if len(kind) != 1:
        return None
    return Message(kind[0], transaction, mac[:_MAC_LENGTH], IPv4Address(client), IPv4Address(your), seconds, options)


def _joined(data: bytes) -> dict[int, bytes]:
    """The options by code; one that was split is put together (RFC 3396)."""
    found: dict[int, bytes] = {}
    for code, value in _options(data):
        found[code] = found.get(code, b"") + value
    return found


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 1 >= len(data):
            return
        length = data[at + 1]
        yield data[at], data[at + 2 : at + 2 + length]
        at += 2 + length
