"""An address that another machine has is declined (RFC 2131 section 3.1, step 5)."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.machine import LeaseProblem, State
from controller.network.dhcp.messages import ACK, DECLINE, DISCOVER, NAK, OFFER, REQUEST
from tests.network.dhcp.server import ADDRESS, MAC, OTHER_MAC, SERVER, Exchange


def acknowledged() -> Exchange:
    """A machine that checks the address which a server has just given."""
    exchange = Exchange(checks=True).start()
    exchange.answer(OFFER)
    exchange.answer(ACK)
    return exchange


def test_the_lan_is_asked_three_times_before_an_address_is_used() -> None:
    exchange = acknowledged()
    assert (exchange.machine.lease, exchange.machine.settled) == (None, False)
    exchange.pass_time(0.02)
    assert exchange.machine.lease is None
    exchange.pass_time(0.08)
    assert exchange.asked == [IPv4Address(ADDRESS)] * 3
    assert exchange.machine.state is State.BOUND
    exchange.pass_time(1799.8)
    assert exchange.kinds() == [DISCOVER, REQUEST]
    exchange.pass_time(0.2)
    assert exchange.kinds() == [DISCOVER, REQUEST, REQUEST]


@pytest.mark.parametrize("after", [0.0, 0.02, 0.5], ids=["at once", "before its use", "late"])
def test_an_address_that_another_machine_has_is_declined(after: float) -> None:
    exchange = acknowledged()
    exchange.pass_time(after)

    exchange.claim()

    message = exchange.last.message
    assert (message.kind, message.client_address.is_unspecified, message.seconds) == (DECLINE, True, 0)
    assert message.options == {
        messages.CLIENT_ID: b"\x01" + MAC,
        messages.REQUESTED_ADDRESS: IPv4Address(ADDRESS).packed,
        messages.SERVER: IPv4Address(SERVER).packed,
    }
    # RFC 2131 table 5: neither wanted options nor a size
    assert not {bytes([messages.PARAMETERS]), bytes([messages.MAXIMUM_SIZE])} & set(message.encode()[240:].split(b"\0"))
    machine = exchange.machine
    assert (machine.lease, machine.problem, machine.settled) == (None, LeaseProblem.TAKEN, True)
    assert machine.declined == (IPv4Address(ADDRESS), OTHER_MAC)


def test_another_address_is_requested_after_ten_seconds_and_clears_the_problem() -> None:
    exchange = acknowledged()
    exchange.claim()
    exchange.pass_time(10)
    assert exchange.last.message.kind == DECLINE
    exchange.pass_time(2)
    assert exchange.last.message.kind == DISCOVER
    assert messages.REQUESTED_ADDRESS not in exchange.last.message.options

    exchange.answer(OFFER, "10.0.0.21")
    exchange.answer(ACK, "10.0.0.21")
    exchange.pass_time(0.1)

    assert exchange.machine.lease is not None
    assert (exchange.machine.problem, exchange.machine.declined) == (None, None)


def test_a_machine_that_has_every_address_is_met_at_growing_intervals() -> None:
    exchange = Exchange(checks=True).start()
    intervals = []
    for _ in range(6):
        exchange.answer(OFFER)
        exchange.answer(ACK)
        exchange.pass_time(0.5)
        exchange.claim()
        intervals.append(exchange.machine.deadline - exchange.now)
        exchange.pass_time(intervals[-1])
    assert intervals == [12, 24, 48, 96, 192, 192]


@pytest.mark.parametrize(
    ("address", "mac", "after"),
    [("10.0.0.21", OTHER_MAC, 0.0), (ADDRESS, MAC, 0.0), (ADDRESS, OTHER_MAC, 1.5)],
    ids=["another address", "by the runtime itself", "long after"],
)
def test_other_claims_decline_nothing(address: str, mac: bytes, after: float) -> None:
    exchange = acknowledged()
    exchange.pass_time(after)
    exchange.claim(address, mac)
    exchange.pass_time(0.1)
    assert exchange.machine.state is State.BOUND


def test_answers_of_servers_during_the_check_change_nothing() -> None:
    exchange = acknowledged()
    exchange.answer(NAK)
    exchange.answer(ACK, "10.0.0.30")
    exchange.pass_time(0.1)
    assert exchange.machine.lease is not None
    assert exchange.machine.lease.address.ip == IPv4Address(ADDRESS)


def test_an_address_that_is_in_use_already_is_not_asked_for() -> None:
    before = Exchange().bound().machine.lease
    exchange = Exchange(before, checks=True).start(held=ADDRESS)
    exchange.answer(ACK)
    exchange.pass_time(1800)
    exchange.answer(ACK)
    assert (exchange.asked, exchange.machine.state) == ([], State.BOUND)


def test_the_address_of_a_restarted_runtime_is_asked_for() -> None:
    exchange = Exchange(Exchange().bound().machine.lease, checks=True).start()
    exchange.answer(ACK)
    exchange.claim()
    assert (exchange.machine.problem, exchange.last.message.kind) == (LeaseProblem.TAKEN, DECLINE)


def test_a_new_address_at_a_renewal_is_asked_for() -> None:
    exchange = Exchange(checks=True).bound()
    exchange.pass_time(1800)
    exchange.answer(ACK, "10.0.0.30")
    assert exchange.asked[-1] == IPv4Address("10.0.0.30")
    exchange.pass_time(0.1)
    assert exchange.machine.lease is not None
    assert exchange.machine.lease.address.ip == IPv4Address("10.0.0.30")


def test_an_unconfirmed_previous_address_is_asked_for_while_it_is_used() -> None:
    exchange = Exchange(Exchange().bound().machine.lease, checks=True).start()
    exchange.pass_time(7)
    assert exchange.machine.lease is not None
    assert exchange.asked == [IPv4Address(ADDRESS)]
    exchange.claim()
    assert exchange.machine.problem is LeaseProblem.TAKEN
