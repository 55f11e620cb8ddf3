"""The client's state machine, over hours that pass at once (RFC 2131 section 4.4)."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.leases import INFINITE
from controller.network.dhcp.machine import BROADCAST, State, Trouble
from controller.network.dhcp.messages import ACK, DISCOVER, NAK, OFFER, REQUEST
from tests.network.dhcp.server import ADDRESS, MAC, SERVER, SERVER_MAC, Conversation, reply

WANTED = IPv4Interface(f"{ADDRESS}/24")


def test_a_lease_is_offered_asked_for_and_given() -> None:
    talk = Conversation().start()
    assert (talk.last.message.kind, talk.last.destination) == (DISCOVER, BROADCAST)
    assert talk.last.message.options[messages.CLIENT_ID] == b"\x01" + MAC
    assert talk.last.message.options[messages.HOST_NAME] == b"plc-1"

    talk.answer(OFFER)
    assert talk.last.message.kind == REQUEST
    assert talk.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)
    assert talk.last.message.addresses(messages.SERVER) == (IPv4Address(SERVER),)
    assert talk.last.message.client_address.is_unspecified
    assert not talk.machine.settled

    talk.answer(ACK, dns=["10.0.0.2", "10.0.0.3"])
    lease = talk.machine.lease
    assert lease is not None
    assert (lease.address, lease.gateway, lease.server) == (WANTED, IPv4Address(SERVER), IPv4Address(SERVER))
    assert [str(each) for each in lease.name_servers] == ["10.0.0.2", "10.0.0.3"]
    assert (talk.machine.state, talk.machine.trouble, talk.machine.settled) == (State.BOUND, None, True)


def test_it_is_renewed_at_t1_with_the_server_alone() -> None:
    talk = Conversation().bound(lease=3600)
    talk.pass_time(1799)
    assert talk.kinds() == [DISCOVER, REQUEST]

    talk.pass_time(1)

    assert (talk.machine.state, talk.last.message.kind) == (State.RENEWING, REQUEST)
    assert (talk.last.destination, talk.last.mac) == (IPv4Address(SERVER), SERVER_MAC)
    assert talk.last.message.client_address == IPv4Address(ADDRESS)
    # RFC 2131 table 5: neither a requested address nor a server in a renewal
    assert not {messages.REQUESTED_ADDRESS, messages.SERVER} & set(talk.last.message.options)
    before = talk.machine.lease
    talk.answer(ACK)
    assert talk.machine.lease is not None
    assert before is not None
    assert talk.machine.lease.expires == talk.now + 3600
    assert talk.machine.lease.obtained == before.obtained


def test_at_t2_every_server_is_asked_and_a_person_can_see_it() -> None:
    talk = Conversation().bound(lease=3600)
    talk.pass_time(3150)
    assert (talk.machine.state, talk.machine.trouble) == (State.REBINDING, Trouble.UNRENEWED)
    assert (talk.last.destination, talk.last.message.client_address) == (BROADCAST, IPv4Address(ADDRESS))
    assert talk.machine.lease is not None

    talk.answer(ACK, server="10.0.0.9")

    assert (talk.machine.state, talk.machine.trouble) == (State.BOUND, None)
    assert talk.machine.lease.server == IPv4Address("10.0.0.9")


def test_at_its_end_the_address_is_given_up_and_the_same_is_asked_for() -> None:
    talk = Conversation().bound(lease=3600)
    talk.pass_time(3600)
    assert (talk.machine.lease, talk.machine.trouble, talk.machine.settled) == (None, Trouble.EXPIRED, True)
    assert talk.last.message.kind == DISCOVER
    assert talk.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)

    talk.answer(OFFER)
    talk.answer(ACK)

    assert talk.machine.trouble is None


@pytest.mark.parametrize(("given", "renewed", "rebound"), [
    ({"lease": 3600}, 1800, 3150),
    ({"lease": 3600, "renew": 100, "rebind": 200}, 100, 200),
    ({"lease": 3600, "renew": 5000, "rebind": 9000}, 1800, 3150),
    ({"lease": 3600, "renew": 1, "rebind": 2}, 1800, 3150),
    ({"lease": 1}, 5, 8.75),
])  # fmt: skip
def test_t1_and_t2_are_the_servers_where_they_make_sense(given: dict[str, int], renewed: float, rebound: float) -> None:
    lease = Conversation().bound(**given).machine.lease
    assert lease is not None
    assert (lease.renew_after, lease.rebind_after) == (renewed, rebound)


def test_an_endless_lease_is_never_renewed() -> None:
    talk = Conversation().bound(lease=0xFFFFFFFF)
    assert talk.machine.deadline == INFINITE


def test_a_refusal_gives_the_address_up_at_once() -> None:
    talk = Conversation().bound(lease=3600)
    talk.pass_time(1800)

    talk.answer(NAK)

    assert (talk.machine.lease, talk.machine.trouble, talk.machine.settled) == (None, Trouble.REFUSED, True)
    assert talk.last.message.kind == DISCOVER
    assert messages.REQUESTED_ADDRESS not in talk.last.message.options
    talk.answer(OFFER, "10.1.0.7", server="10.1.0.1")
    talk.answer(ACK, "10.1.0.7", server="10.1.0.1")
    assert talk.machine.lease is not None
    assert talk.machine.lease.address == IPv4Interface("10.1.0.7/24")


def test_a_server_that_is_silent_is_asked_for_ever_and_told_of() -> None:
    talk = Conversation().start()
    talk.pass_time(6)
    assert talk.machine.trouble is None
    talk.pass_time(3600)
    assert talk.machine.trouble is Trouble.SILENT
    assert set(talk.kinds()) == {DISCOVER}
    assert 200 < len(talk.sent) < 300  # every 16 s

    talk.answer(OFFER)
    talk.answer(ACK)

    assert talk.machine.trouble is None


def test_an_offer_that_is_not_kept_is_forgotten() -> None:
    talk = Conversation().start()
    talk.answer(OFFER)
    talk.pass_time(60)
    assert talk.kinds()[1:6] == [REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER]


def test_a_lease_of_last_time_is_asked_for_first() -> None:
    before = Conversation().bound().machine.lease
    talk = Conversation(before).start()
    assert (talk.machine.state, talk.last.message.kind) == (State.REBOOTING, REQUEST)
    assert talk.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)
    assert messages.SERVER not in talk.last.message.options
    assert not talk.machine.settled

    talk.answer(ACK)

    assert talk.machine.state is State.BOUND


def test_a_lease_that_has_not_ended_is_used_where_nobody_answers() -> None:
    before = Conversation().bound(lease=3600).machine.lease
    talk = Conversation(before).start()
    talk.pass_time(8)
    assert (talk.machine.lease, talk.machine.trouble) == (before, Trouble.UNRENEWED)
    assert (talk.last.message.kind, talk.last.message.client_address) == (REQUEST, IPv4Address(ADDRESS))

    talk.pass_time(3600)

    assert (talk.machine.lease, talk.machine.trouble) == (None, Trouble.EXPIRED)


def test_of_a_lease_that_ended_only_the_address_is_asked_for() -> None:
    before = Conversation().bound(lease=3600).machine.lease
    assert before is not None
    talk = Conversation(before.shifted(-7200)).start()
    assert talk.last.message.kind == DISCOVER
    assert talk.last.message.addresses(messages.REQUESTED_ADDRESS) == (IPv4Address(ADDRESS),)


def test_a_lan_with_another_subnet_refuses_the_lease_of_last_time() -> None:
    talk = Conversation(Conversation().bound().machine.lease).start()
    talk.answer(NAK)
    assert (talk.machine.trouble, talk.last.message.kind) == (Trouble.REFUSED, DISCOVER)


@pytest.mark.parametrize("change", [
    {"transaction": 1}, {"mac": bytes(6)}, {"kind": NAK}, {"options": {messages.KIND: b"\x05"}},
], ids=["another exchange", "another client", "a refusal of another server", "without a lease time"])  # fmt: skip
def test_what_is_not_for_it_changes_nothing(change: dict[str, Any]) -> None:
    talk = Conversation().start()
    talk.answer(OFFER)
    message = dataclasses.replace(reply(talk.last.message, ACK, server="10.0.0.9"), **change)

    assert talk.machine.received(message, SERVER_MAC, talk.now) == []

    assert (talk.machine.state, talk.machine.lease) == (State.REQUESTING, None)


def test_thousands_of_renewals_keep_the_address() -> None:
    talk = Conversation().bound(lease=120)
    for _ in range(5000):
        talk.pass_time(60)
        talk.answer(ACK, lease=120)
    assert talk.machine.lease is not None
    assert talk.machine.lease.address == WANTED
    assert talk.machine.lease.obtained == 1000.0
    assert len(talk.sent) == 5002
