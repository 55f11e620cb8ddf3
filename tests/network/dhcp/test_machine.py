"""The client's state machine in simulated time (RFC 2131 section 4.4)."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.leases import INFINITE
from controller.network.dhcp.machine import LeaseProblem, State
from controller.network.dhcp.messages import ACK, DISCOVER, NAK, OFFER, REQUEST
from controller.network.dhcp.requests import BROADCAST
from tests.network.dhcp.server import ADDRESS, MAC, SERVER, SERVER_MAC, Exchange, reply

WANTED = IPv4Interface(f"{ADDRESS}/24")


def test_a_lease_is_offered_requested_and_acknowledged() -> None:
    exchange = Exchange().start()
    assert (exchange.last.message.kind, exchange.last.destination) == (DISCOVER, BROADCAST)
    assert exchange.last.message.options[messages.CLIENT_ID] == b"\x01" + MAC
    assert exchange.last.message.options[messages.HOST_NAME] == b"plc-1"

    exchange.answer(OFFER)
    assert exchange.last.message.kind == REQUEST
    assert exchange.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)
    assert exchange.last.message.addresses(messages.SERVER) == (IPv4Address(SERVER),)
    assert exchange.last.message.client_address.is_unspecified
    assert not exchange.machine.settled

    exchange.answer(ACK, dns=["10.0.0.2", "10.0.0.3"])
    lease = exchange.machine.lease
    assert lease is not None
    assert (lease.address, lease.gateway, lease.server) == (WANTED, IPv4Address(SERVER), IPv4Address(SERVER))
    assert [str(each) for each in lease.name_servers] == ["10.0.0.2", "10.0.0.3"]
    assert (exchange.machine.state, exchange.machine.problem, exchange.machine.settled) == (State.BOUND, None, True)


@pytest.mark.parametrize(
    ("answered", "renews"),
    [
        ({}, True),
        ({"renew": 1700, "rebind": 3000}, True),
        ({"lease": 7200}, True),
        ({"router": "10.0.0.9"}, False),
        ({"dns": ["10.0.0.9"]}, False),
        ({"mask": "255.255.0.0"}, False),
    ],
)
def test_a_renewal_is_the_same_lease_with_other_times(answered: dict[str, Any], renews: bool) -> None:
    exchange = Exchange().bound(lease=3600)
    before = exchange.machine.lease
    exchange.pass_time(1800)
    exchange.answer(ACK, **answered)
    assert exchange.machine.lease is not None
    assert exchange.machine.lease.renews(before) is renews


def test_it_is_renewed_at_t1_with_its_server() -> None:
    exchange = Exchange().bound(lease=3600)
    exchange.pass_time(1799)
    assert exchange.kinds() == [DISCOVER, REQUEST]

    exchange.pass_time(1)

    assert (exchange.machine.state, exchange.last.message.kind) == (State.RENEWING, REQUEST)
    assert (exchange.last.destination, exchange.last.mac) == (IPv4Address(SERVER), SERVER_MAC)
    assert exchange.last.message.client_address == IPv4Address(ADDRESS)
    # RFC 2131 table 5: neither a requested address nor a server in a renewal
    assert not {messages.REQUESTED_ADDRESS, messages.SERVER} & set(exchange.last.message.options)
    before = exchange.machine.lease
    exchange.answer(ACK)
    assert exchange.machine.lease is not None
    assert before is not None
    assert exchange.machine.lease.expires == exchange.now + 3600
    assert exchange.machine.lease.obtained == before.obtained


def test_at_t2_every_server_is_asked_and_the_problem_reported() -> None:
    exchange = Exchange().bound(lease=3600)
    exchange.pass_time(3150)
    assert (exchange.machine.state, exchange.machine.problem) == (State.REBINDING, LeaseProblem.UNRENEWED)
    assert (exchange.last.destination, exchange.last.message.client_address) == (BROADCAST, IPv4Address(ADDRESS))
    assert exchange.machine.lease is not None

    exchange.answer(ACK, server="10.0.0.9")

    assert (exchange.machine.state, exchange.machine.problem) == (State.BOUND, None)
    assert exchange.machine.lease.server == IPv4Address("10.0.0.9")


def test_an_expired_address_is_dropped_and_requested_again() -> None:
    exchange = Exchange().bound(lease=3600)
    exchange.pass_time(3600)
    assert (exchange.machine.lease, exchange.machine.problem, exchange.machine.settled) == (
        None,
        LeaseProblem.EXPIRED,
        True,
    )
    assert exchange.last.message.kind == DISCOVER
    assert exchange.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)

    exchange.answer(OFFER)
    exchange.answer(ACK)

    assert exchange.machine.problem is None


@pytest.mark.parametrize(("given", "renewed", "rebound"), [
    ({"lease": 3600}, 1800, 3150),
    ({"lease": 3600, "renew": 100, "rebind": 200}, 100, 200),
    ({"lease": 3600, "renew": 5000, "rebind": 9000}, 1800, 3150),
    ({"lease": 3600, "renew": 1, "rebind": 2}, 1800, 3150),
    ({"lease": 1}, 5, 8.75),
    ({"lease": 0}, 1800, 3150),
    ({"lease": None}, 1800, 3150),
    ({"lease": 0xFFFFFFFE}, 0x7FFFFFFF, 0xFFFFFFFE * 0.875),
])  # fmt: skip
def test_plausible_times_of_the_server_are_used(given: dict[str, int | None], renewed: float, rebound: float) -> None:
    lease = Exchange().bound(**given).machine.lease
    assert lease is not None
    assert (lease.renew_after, lease.rebind_after) == (renewed, rebound)


def test_an_infinite_lease_is_never_renewed() -> None:
    exchange = Exchange().bound(lease=0xFFFFFFFF)
    assert exchange.machine.deadline == INFINITE


def test_a_nak_drops_the_address_at_once() -> None:
    exchange = Exchange().bound(lease=3600)
    exchange.pass_time(1800)

    exchange.answer(NAK)

    assert (exchange.machine.lease, exchange.machine.problem, exchange.machine.settled) == (
        None,
        LeaseProblem.REFUSED,
        True,
    )
    assert exchange.last.message.kind == DISCOVER
    assert messages.REQUESTED_ADDRESS not in exchange.last.message.options
    exchange.answer(OFFER, "10.1.0.7", server="10.1.0.1")
    exchange.answer(ACK, "10.1.0.7", server="10.1.0.1")
    assert exchange.machine.lease is not None
    assert exchange.machine.lease.address == IPv4Interface("10.1.0.7/24")


def test_a_silent_server_is_asked_indefinitely_and_reported() -> None:
    exchange = Exchange().start()
    exchange.pass_time(6)
    assert exchange.machine.problem is None
    exchange.pass_time(3600)
    assert exchange.machine.problem is LeaseProblem.SILENT
    assert set(exchange.kinds()) == {DISCOVER}
    assert 200 < len(exchange.sent) < 300  # every 16 s

    exchange.answer(OFFER)
    exchange.answer(ACK)

    assert exchange.machine.problem is None


def test_an_offer_without_acknowledgement_is_dropped() -> None:
    exchange = Exchange().start()
    exchange.answer(OFFER)
    exchange.pass_time(60)
    assert exchange.kinds()[1:6] == [REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER]


def test_the_previous_lease_is_requested_first() -> None:
    before = Exchange().bound().machine.lease
    exchange = Exchange(before).start()
    assert (exchange.machine.state, exchange.last.message.kind) == (State.REBOOTING, REQUEST)
    assert exchange.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)
    assert messages.SERVER not in exchange.last.message.options
    assert not exchange.machine.settled

    exchange.answer(ACK)

    assert exchange.machine.state is State.BOUND


def test_an_unexpired_lease_is_used_without_an_answer() -> None:
    before = Exchange().bound(lease=3600).machine.lease
    exchange = Exchange(before).start()
    exchange.pass_time(8)
    assert (exchange.machine.lease, exchange.machine.problem) == (before, LeaseProblem.UNRENEWED)
    assert (exchange.last.message.kind, exchange.last.message.client_address) == (REQUEST, IPv4Address(ADDRESS))

    exchange.pass_time(3600)

    assert (exchange.machine.lease, exchange.machine.problem) == (None, LeaseProblem.EXPIRED)


def test_the_address_of_an_expired_lease_is_requested() -> None:
    before = Exchange().bound(lease=3600).machine.lease
    assert before is not None
    exchange = Exchange(before.shifted(-7200)).start()
    assert exchange.last.message.kind == DISCOVER
    assert exchange.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)


def test_a_lan_with_another_subnet_refuses_the_previous_lease() -> None:
    exchange = Exchange(Exchange().bound().machine.lease).start()
    exchange.answer(NAK)
    assert (exchange.machine.problem, exchange.last.message.kind) == (LeaseProblem.REFUSED, DISCOVER)


@pytest.mark.parametrize("change", [
    {"transaction": 1}, {"mac": bytes(6)}, {"kind": NAK}, {"options": {messages.KIND: b"\x05"}},
], ids=["another exchange", "another client", "a refusal of another server", "without a server"])  # fmt: skip
def test_unrelated_messages_change_nothing(change: dict[str, Any]) -> None:
    exchange = Exchange().start()
    exchange.answer(OFFER)
    message = dataclasses.replace(reply(exchange.last.message, ACK, server="10.0.0.9"), **change)

    assert exchange.machine.received(message, SERVER_MAC, exchange.now) == []

    assert (exchange.machine.state, exchange.machine.lease) == (State.REQUESTING, None)


def test_thousands_of_renewals_keep_the_address() -> None:
    exchange = Exchange().bound(lease=120)
    for _ in range(5000):
        exchange.pass_time(60)
        exchange.answer(ACK, lease=120)
    assert exchange.machine.lease is not None
    assert exchange.machine.lease.address == WANTED
    assert exchange.machine.lease.obtained == 1000.0
    assert len(exchange.sent) == 5002
