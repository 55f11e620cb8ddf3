"""Malformed and hostile answers of a DHCP server: the client continues and ignores unusable values."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.machine import State
from controller.network.dhcp.messages import ACK, DISCOVER, NAK, OFFER, REQUEST
from tests.network.dhcp.server import ADDRESS, SERVER, SERVER_MAC, Exchange, reply


@pytest.mark.parametrize("length", [0, 3, 5, 8, 300])
def test_an_offer_with_a_malformed_server_identifier_is_ignored(length: int) -> None:
    exchange = Exchange().start()
    offer = reply(exchange.last.message, OFFER)
    odd = dataclasses.replace(offer, options={**offer.options, messages.SERVER: bytes([10]) * length})
    assert exchange.machine.received(odd, SERVER_MAC, exchange.now) == []
    exchange.pass_time(3600)
    assert set(exchange.kinds()) == {DISCOVER}
    assert all(len(sent.message.encode()) <= 576 for sent in exchange.sent)


@pytest.mark.parametrize("address", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
def test_an_address_that_no_host_can_have_is_ignored(address: str) -> None:
    exchange = Exchange().start()
    exchange.answer(OFFER, address)
    assert (exchange.machine.state, exchange.kinds()) == (State.SELECTING, [DISCOVER])
    exchange.answer(OFFER)
    exchange.answer(ACK, address)
    assert (exchange.last.message.kind, exchange.machine.lease) == (REQUEST, None)
    exchange.answer(ACK)
    assert exchange.machine.lease is not None


@pytest.mark.parametrize(
    ("given", "gateway"),
    [
        ({}, SERVER),
        ({"router": ADDRESS}, None),
        ({"router": "10.0.1.1"}, None),
        ({"router": "10.0.0.1", "mask": "255.255.255.255"}, None),
        ({"router": "127.0.0.1", "mask": "128.0.0.0"}, None),
    ],
    ids=["in the subnet", "the address itself", "outside the subnet", "no subnet", "loopback"],
)
def test_an_unreachable_gateway_is_left_out(given: dict[str, str], gateway: str | None) -> None:
    lease = Exchange().bound(**given).machine.lease
    assert lease is not None
    assert lease.gateway == (IPv4Address(gateway) if gateway else None)


def test_invalid_name_servers_are_left_out() -> None:
    lease = Exchange().bound(dns=["0.0.0.0", "255.255.255.255", "224.0.0.251", "10.0.0.2"]).machine.lease
    assert lease is not None
    assert lease.name_servers == (IPv4Address("10.0.0.2"),)


def test_a_mask_that_makes_every_host_a_neighbour_is_ignored() -> None:
    lease = Exchange().bound(mask="0.0.0.0").machine.lease
    assert lease is not None
    assert str(lease.address) == f"{ADDRESS}/8"


def test_a_server_that_refuses_its_own_offers_is_asked_at_growing_intervals() -> None:
    exchange = Exchange().start()
    intervals = []
    for _ in range(8):
        exchange.answer(OFFER)
        before = exchange.now
        exchange.answer(NAK)
        assert exchange.last.message.kind == REQUEST
        exchange.pass_time(exchange.machine.deadline - exchange.now)
        assert exchange.last.message.kind == DISCOVER
        intervals.append(exchange.now - before)
    assert intervals == [1, 2, 4, 8, 16, 16, 16, 16]


def test_a_lease_ends_the_growth_of_the_intervals() -> None:
    exchange = Exchange().start()
    for _ in range(2):
        exchange.answer(OFFER)
        exchange.answer(NAK)
        exchange.pass_time(60)
    exchange.answer(OFFER)
    exchange.answer(ACK)
    exchange.pass_time(3600)
    exchange.answer(OFFER)
    exchange.answer(NAK)
    assert exchange.machine.deadline - exchange.now == 1
