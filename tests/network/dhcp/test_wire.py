"""Messages, packets and leases as bytes and files: what comes back is what went in, and rubbish is nothing."""

from __future__ import annotations

import json
import struct
from ipaddress import IPv4Address, IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network.dhcp import frames, leases, messages
from controller.network.dhcp.machine import BROADCAST
from controller.network.dhcp.messages import Message
from tests.network.dhcp.server import MAC, SERVER_MAC, Conversation, reply

NOWHERE = IPv4Address(0)


def as_reply(message: Message, options: bytes | None = None, *, file: bytes = b"") -> bytes:
    """The bytes of a server's message."""
    data = bytearray(message.encode())
    data[0] = 2
    data[108 : 108 + len(file)] = file
    return bytes(data if options is None else data[:240] + options)


def test_a_message_comes_back_as_it_was() -> None:
    asked = Message(messages.ACK, 7, MAC, IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6"), 3, {54: b"\x0a\0\0\x01"})
    found = messages.decode(as_reply(asked))
    assert found is not None
    assert (found.kind, found.transaction, found.mac, found.client_address, found.your_address, found.seconds) == (
        messages.ACK, 7, MAC, IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6"), 3,
    )  # fmt: skip
    assert found.addresses(messages.SERVER) == (IPv4Address("10.0.0.1"),)


def test_a_message_is_never_too_short_for_a_relay() -> None:
    assert len(Message(messages.DISCOVER, 1, MAC).encode()) == 300


def test_options_go_on_in_other_fields_and_are_put_together() -> None:
    start = bytes([53, 1, 5, 52, 1, 1, 6, 4, 10, 0, 0, 1, 255])
    more = bytes([6, 4, 10, 0, 0, 2, 1, 4, 255, 255, 0, 0, 255])
    found = messages.decode(as_reply(Message(5, 1, MAC), start, file=more))
    assert found is not None
    assert found.addresses(messages.SUBNET_MASK) == (IPv4Address("255.255.0.0"),)
    found = messages.decode(as_reply(Message(5, 1, MAC), bytes([53, 1, 5, 6, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 2, 255])))
    assert found is not None
    assert len(found.addresses(messages.NAME_SERVERS)) == 2


@given(st.binary(max_size=600))
def test_rubbish_is_no_message(data: bytes) -> None:
    assert messages.decode(data) is None or len(data) >= 240


@given(st.binary(max_size=64))
def test_rubbish_in_options_raises_nothing(options: bytes) -> None:
    found = messages.decode(as_reply(Message(5, 1, MAC), bytes([53, 1, 5]) + options))
    assert found is None or leases.of_acknowledgement(found, 0.0, SERVER_MAC, None) is None or found.options


def test_a_packet_carries_the_message() -> None:
    packet = bytearray(frames.wrap(b"payload", NOWHERE, BROADCAST))
    assert frames.unwrap(bytes(packet)) == b""  # it goes to the server's port
    packet[22:24] = struct.pack("!H", frames.CLIENT_PORT)
    assert frames.unwrap(bytes(packet)) == b"payload"


@pytest.mark.parametrize("at", [0, 6, 9], ids=["no IPv4", "a fragment", "no UDP"])
def test_other_packets_carry_nothing(at: int) -> None:
    packet = bytearray(frames.wrap(b"payload", NOWHERE, BROADCAST))
    packet[22:24] = struct.pack("!H", frames.CLIENT_PORT)
    packet[at] ^= 0x21
    assert frames.unwrap(bytes(packet)) == b""


@given(st.binary(max_size=120))
def test_a_packet_of_rubbish_carries_nothing_or_less_than_it_is_long(data: bytes) -> None:
    assert len(frames.unwrap(data)) <= max(len(data) - 28, 0)


@pytest.mark.parametrize(("mask", "prefix"), [("255.255.255.0", 24), ("255.255.254.0", 23), ("0.255.0.255", 8)])
def test_a_mask_that_is_none_counts_as_missing(mask: str, prefix: int) -> None:
    asked = Message(messages.REQUEST, 1, MAC)
    lease = leases.of_acknowledgement(reply(asked, messages.ACK, mask=mask), 0.0, SERVER_MAC, None)
    assert lease is not None
    assert lease.address == IPv4Interface(f"10.0.0.20/{prefix}")


@pytest.mark.parametrize("seconds", [3600, 0xFFFFFFFF])
def test_a_lease_comes_back_from_its_file(seconds: int) -> None:
    lease = Conversation().bound(lease=seconds, dns=["10.0.0.2"]).machine.lease
    assert lease is not None
    assert leases.of_document(json.loads(json.dumps(leases.to_document(lease)))) == lease
