"""Encodes and decodes DHCP messages (RFC 2131 section 2, options of RFC 2132). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)

SUBNET_MASK, ROUTER, NAME_SERVERS, HOST_NAME = 1, 3, 6, 12
REQUESTED_ADDRESS, LEASE_SECONDS, OVERLOAD, KIND, SERVER = 50, 51, 52, 53, 54
PARAMETERS, MAXIMUM_SIZE, RENEWAL_SECONDS, REBINDING_SECONDS, CLIENT_ID = 55, 57, 58, 59, 61
CLASSLESS_ROUTES = 121
_PAD, _END = 0, 255

# The classless routes come before the router (RFC 3442).
_WANTED = bytes(
    [SUBNET_MASK, CLASSLESS_ROUTES, ROUTER, NAME_SERVERS, LEASE_SECONDS, SERVER, RENEWAL_SECONDS, REBINDING_SECONDS]
)
# What belongs into a message that is answered. 1500 bytes: else a server may only assume 576 (RFC 2131 section 2).
_ANSWERED = {PARAMETERS: _WANTED, MAXIMUM_SIZE: b"\x05\xdc"}
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = bytes([99, 130, 83, 99])
_BOOTREQUEST, _BOOTREPLY, _ETHERNET, _MAC_LENGTH = 1, 2, 1, 6
_SMALLEST = 300  # some relays drop shorter messages (RFC 1542 section 2.1)
UNSPECIFIED = IPv4Address(0)


@dataclass(frozen=True)
class Message:
    """One message. ``your_address`` is assigned by the server, ``client_address`` is already in use by the client."""

    kind: int
    transaction: int
    mac: bytes
    client_address: IPv4Address = UNSPECIFIED
    your_address: IPv4Address = UNSPECIFIED
    seconds: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Encode a client's message."""
        # No broadcast flag: a packet socket receives answers to an address that the link does not have yet.
        head = _FIXED.pack(
            *(_BOOTREQUEST, _ETHERNET, _MAC_LENGTH, 0, self.transaction, min(self.seconds, 0xFFFF), 0),
            *(self.client_address.packed, self.your_address.packed, UNSPECIFIED.packed, UNSPECIFIED.packed),
            *(self.mac, b"", b"", _COOKIE),
        )
        options = {KIND: bytes([self.kind]), **(_ANSWERED if self.kind != DECLINE else {}), **self.options}
        body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
        return (head + body + bytes([_END])).ljust(_SMALLEST, b"\0")

    def addresses(self, option: int) -> tuple[IPv4Address, ...]:
        """Return the addresses in an option, none when it is missing or malformed."""
        value = self.options.get(option, b"")
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value) - len(value) % 4, 4))

    @property
    def server(self) -> IPv4Address | None:
        """The server identifier, None when it is missing or malformed (RFC 2132 section 9.7)."""
        value = self.options.get(SERVER, b"")
        return IPv4Address(value) if len(value) == 4 else None

    def number(self, option: int) -> int | None:
        """Return the 32-bit number in an option, None when it is missing or malformed."""
        value = self.options.get(option, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None


def decode(data: bytes) -> Message | None:
    """Decode a server's message; None for anything else."""
    if len(data) < _FIXED.size:
        return None
    reply, hardware, length, _, transaction, seconds, _, client, your, _, _, mac, name, file, cookie = _FIXED.unpack(
        data[: _FIXED.size]
    )
    if (reply, hardware, length, cookie) != (_BOOTREPLY, _ETHERNET, _MAC_LENGTH, _COOKIE):
        return None
    options = _joined(data[_FIXED.size :])
    overload = options.get(OVERLOAD, b"\0")[:1]
    for bit, more in ((1, file), (2, name)):  # RFC 2131 section 4.1: options may continue in these fields
        if overload and overload[0] & bit:
            options = {**_joined(more), **options}
    kind = options.get(KIND, b"")
    if len(kind) != 1:
        return None
    return Message(kind[0], transaction, mac[:_MAC_LENGTH], IPv4Address(client), IPv4Address(your), seconds, options)


def _joined(data: bytes) -> dict[int, bytes]:
    """Return the options by code, with split options joined (RFC 3396)."""
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
