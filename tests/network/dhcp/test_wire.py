"""Messages, packets and leases round-trip through bytes and files; malformed data is ignored."""

from __future__ import annotations

import json
import struct
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network.dhcp import frames, leases, messages
from controller.network.dhcp.messages import Message
from controller.network.dhcp.requests import BROADCAST
from tests.network.dhcp.server import MAC, SERVER_MAC, Exchange, reply

NOWHERE = IPv4Address(0)


def as_reply(message: Message, options: bytes | None = None, *, file: bytes = b"") -> bytes:
    """Encode a server's message."""
    data = bytearray(message.encode())
    data[0] = 2
    data[108 : 108 + len(file)] = file
    return bytes(data if options is None else data[:240] + options)


def test_a_message_round_trips() -> None:
    asked = Message(messages.ACK, 7, MAC, IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6"), 3, {54: b"\x0a\0\0\x01"})
    found = messages.decode(as_reply(asked))
    assert found is not None
    assert (found.kind, found.transaction, found.mac, found.client_address, found.your_address, found.seconds) == (
        messages.ACK, 7, MAC, IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6"), 3,
    )  # fmt: skip
    assert found.addresses(messages.SERVER) == (IPv4Address("10.0.0.1"),)


def test_a_message_is_never_too_short_for_a_relay() -> None:
    assert len(Message(messages.DISCOVER, 1, MAC).encode()) == 300


def test_options_continued_in_other_fields_are_joined() -> None:
    start = bytes([53, 1, 5, 52, 1, 1, 6, 4, 10, 0, 0, 1, 255])
    more = bytes([6, 4, 10, 0, 0, 2, 1, 4, 255, 255, 0, 0, 255])
    found = messages.decode(as_reply(Message(5, 1, MAC), start, file=more))
    assert found is not None
    assert found.addresses(messages.SUBNET_MASK) == (IPv4Address("255.255.0.0"),)
    found = messages.decode(as_reply(Message(5, 1, MAC), bytes([53, 1, 5, 6, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 2, 255])))
    assert found is not None
    assert len(found.addresses(messages.NAME_SERVERS)) == 2


@given(st.binary(max_size=600))
def test_malformed_data_is_no_message(data: bytes) -> None:
    assert messages.decode(data) is None or len(data) >= 240


@given(st.binary(max_size=64))
def test_malformed_options_raise_nothing(options: bytes) -> None:
    found = messages.decode(as_reply(Message(5, 1, MAC), bytes([53, 1, 5]) + options))
    assert found is None or leases.from_acknowledgement(found, 0.0, SERVER_MAC, None) is None or found.options


def test_a_packet_carries_the_message() -> None:
    packet = bytearray(frames.wrap(b"payload", NOWHERE, BROADCAST))
    assert frames.unwrap(bytes(packet)) == b""  # the packet is addressed to the server's port
    packet[22:24] = struct.pack("!H", frames.CLIENT_PORT)
    assert frames.unwrap(bytes(packet)) == b"payload"


@pytest.mark.parametrize("at", [0, 6, 9], ids=["no IPv4", "a fragment", "no UDP"])
def test_other_packets_carry_no_message(at: int) -> None:
    packet = bytearray(frames.wrap(b"payload", NOWHERE, BROADCAST))
    packet[22:24] = struct.pack("!H", frames.CLIENT_PORT)
    packet[at] ^= 0x21
    assert frames.unwrap(bytes(packet)) == b""


@given(st.binary(max_size=120))
def test_a_malformed_packet_carries_at_most_its_own_length(data: bytes) -> None:
    assert len(frames.unwrap(data)) <= max(len(data) - 28, 0)


@pytest.mark.parametrize(("mask", "prefix"), [("255.255.255.0", 24), ("255.255.254.0", 23), ("0.255.0.255", 8)])
def test_an_invalid_mask_counts_as_missing(mask: str, prefix: int) -> None:
    asked = Message(messages.REQUEST, 1, MAC)
    lease = leases.from_acknowledgement(reply(asked, messages.ACK, mask=mask), 0.0, SERVER_MAC, None)
    assert lease is not None
    assert lease.address == IPv4Interface(f"10.0.0.20/{prefix}")


@pytest.mark.parametrize("seconds", [3600, 0xFFFFFFFF])
def test_a_lease_round_trips_through_its_file(seconds: int) -> None:
    classless = bytes([8, 172, 10, 0, 0, 1, 16, 192, 168, 0, 0, 0, 0])
    lease = Exchange().bound(lease=seconds, dns=["10.0.0.2"], classless=classless).machine.lease
    assert lease is not None
    document = json.loads(json.dumps(leases.to_document(lease)))
    assert leases.from_document(document) == lease
    del document["routes"]  # of release 0.1
    assert leases.from_document(document).routes == ()
