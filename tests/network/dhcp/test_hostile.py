"""Malformed and hostile answers of a DHCP server: the client continues and ignores unusable values."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.machine import LeaseProblem, State
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
        ({"router": "10.0.0.0"}, None),
        ({"router": "10.0.0.255"}, None),
        ({"router": "10.0.1.1"}, "10.0.1.1"),
        ({"router": "10.0.0.1", "mask": "255.255.255.255"}, "10.0.0.1"),
        ({"router": "127.0.0.1", "mask": "128.0.0.0"}, None),
    ],
    ids=[
        "in the subnet",
        "the address itself",
        "the network",
        "all hosts",
        "outside the subnet",
        "no subnet",
        "loopback",
    ],
)
def test_a_gateway_that_the_kernel_would_refuse_is_left_out(given: dict[str, str], gateway: str | None) -> None:
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


def test_a_server_that_refuses_its_own_offers_is_asked_at_growing_intervals_and_reported() -> None:
    exchange = Exchange().start()
    intervals: list[float] = []
    for _ in range(8):
        exchange.answer(OFFER)
        exchange.pass_time(1.0 if intervals else 0.0)  # another server might offer, too
        before = exchange.now
        exchange.answer(NAK)
        assert exchange.last.message.kind == REQUEST
        assert exchange.machine.problem is LeaseProblem.DENIED
        assert not exchange.machine.settled
        exchange.pass_time(exchange.machine.deadline - exchange.now)
        assert exchange.last.message.kind == DISCOVER
        intervals.append(exchange.now - before)
    assert intervals == [1, 2, 4, 8, 16, 16, 16, 16]


def test_a_renewal_ends_the_growth_of_the_intervals() -> None:
    exchange = Exchange().start()
    for _ in range(2):
        exchange.answer(OFFER)
        exchange.pass_time(1)
        exchange.answer(NAK)
        exchange.pass_time(60)
    exchange.answer(OFFER)
    exchange.pass_time(1)
    exchange.answer(ACK)
    exchange.pass_time(1800)
    exchange.answer(ACK)
    exchange.pass_time(1800)
    exchange.answer(NAK)
    assert exchange.last.message.kind == DISCOVER


def test_a_server_that_refuses_each_renewal_is_asked_at_growing_intervals() -> None:
    exchange = Exchange().start()
    intervals: list[float] = []
    for _ in range(6):
        exchange.answer(OFFER)
        exchange.answer(ACK, lease=10)
        exchange.pass_time(5)
        before = exchange.now
        exchange.answer(NAK)
        assert exchange.machine.problem is LeaseProblem.REFUSED
        if exchange.last.message.kind != DISCOVER:
            exchange.pass_time(exchange.machine.deadline - exchange.now)
        intervals.append(exchange.now - before)
    assert intervals == [0, 1, 2, 4, 8, 16]


def test_a_server_that_renews_nothing_is_asked_at_growing_intervals() -> None:
    exchange = Exchange().start()
    intervals = []
    for _ in range(6):
        exchange.answer(OFFER)
        exchange.answer(ACK, lease=10)
        exchange.pass_time(10)
        assert exchange.machine.problem is LeaseProblem.EXPIRED
        before = exchange.now
        if exchange.last.message.kind != DISCOVER:
            exchange.pass_time(exchange.machine.deadline - exchange.now)
        intervals.append(exchange.now - before)
    assert intervals == [0, 1, 2, 4, 8, 16]


def test_a_server_that_confirms_nothing_is_asked_four_times_in_sixteen_seconds() -> None:
    exchange = Exchange().start()
    exchange.answer(OFFER)
    end = exchange.now + 160
    while exchange.now < end:
        exchange.pass_time(1)
        if exchange.last.message.kind == DISCOVER:
            exchange.answer(OFFER)
    assert len(exchange.sent) <= 52


@pytest.mark.parametrize("fails", ["refuses", "is silent"])
def test_another_server_comes_first_after_one_whose_offer_came_to_nothing(fails: str) -> None:
    exchange = Exchange().start()
    exchange.answer(OFFER)
    if fails == "refuses":
        exchange.answer(NAK)
    exchange.pass_time(15 if fails == "is silent" else 1)
    assert exchange.last.message.kind == DISCOVER

    exchange.answer(OFFER)
    exchange.answer(OFFER, "10.0.0.30", server="10.0.0.9")

    assert exchange.last.message.addresses(messages.SERVER) == (IPv4Address("10.0.0.9"),)
    exchange.answer(ACK, "10.0.0.30", server="10.0.0.9")
    assert exchange.machine.problem is None


def test_only_the_server_of_a_lease_can_withdraw_it_at_a_renewal() -> None:
    exchange = Exchange().bound(lease=3600)
    exchange.pass_time(1800)
    exchange.answer(NAK, server="10.0.0.9")
    exchange.pass_time(10)
    assert exchange.machine.state is State.RENEWING
    assert exchange.machine.lease is not None
    exchange.answer(NAK)
    assert exchange.machine.lease is None


@pytest.mark.parametrize("restarted", [True, False], ids=["after a restart", "after T2"])
@pytest.mark.parametrize("confirmed", [True, False])
def test_the_lease_s_own_server_has_a_second_to_overrule_another_one(restarted: bool, confirmed: bool) -> None:
    exchange = Exchange().bound(lease=3600)
    if restarted:
        exchange = Exchange(exchange.machine.lease).start()
    else:
        exchange.pass_time(3200)
    exchange.answer(NAK, server="10.0.0.9")
    exchange.answer(NAK, server="10.0.0.9")
    assert exchange.machine.problem is not LeaseProblem.REFUSED
    if confirmed:
        exchange.answer(ACK)
    exchange.pass_time(1)
    assert (exchange.machine.problem, exchange.last.message.kind) == (
        (None, REQUEST) if confirmed else (LeaseProblem.REFUSED, DISCOVER)
    )


@pytest.mark.parametrize("late", [OFFER, ACK, NAK])
def test_a_second_answer_changes_nothing(late: int) -> None:
    exchange = Exchange().bound()
    before = exchange.machine.lease
    exchange.answer(late, server="10.0.0.9")
    exchange.answer(late)
    assert (exchange.machine.state, exchange.machine.lease, len(exchange.sent)) == (State.BOUND, before, 2)
