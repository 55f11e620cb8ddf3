"""Whatever a server on the LAN says: the client goes on, and takes nothing that cannot be used."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Address

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.machine import State
from controller.network.dhcp.messages import ACK, DISCOVER, OFFER, REQUEST
from tests.network.dhcp.server import ADDRESS, SERVER, SERVER_MAC, Exchange, reply


@pytest.mark.parametrize("length", [0, 3, 5, 8, 300])
def test_an_offer_of_a_server_without_an_address_is_not_taken(length: int) -> None:
    talk = Exchange().start()
    offer = reply(talk.last.message, OFFER)
    odd = dataclasses.replace(offer, options={**offer.options, messages.SERVER: bytes([10]) * length})
    assert talk.machine.received(odd, SERVER_MAC, talk.now) == []
    talk.pass_time(3600)
    assert set(talk.kinds()) == {DISCOVER}
    assert all(len(sent.message.encode()) <= 576 for sent in talk.sent)


@pytest.mark.parametrize("address", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
def test_an_address_that_no_machine_can_have_is_not_taken(address: str) -> None:
    talk = Exchange().start()
    talk.answer(OFFER, address)
    assert (talk.machine.state, talk.kinds()) == (State.SELECTING, [DISCOVER])
    talk.answer(OFFER)
    talk.answer(ACK, address)
    assert (talk.last.message.kind, talk.machine.lease) == (REQUEST, None)
    talk.answer(ACK)
    assert talk.machine.lease is not None


@pytest.mark.parametrize(
    ("given", "gateway"),
    [
        ({}, SERVER),
        ({"router": ADDRESS}, None),
        ({"router": "10.0.1.1"}, None),
        ({"router": "10.0.0.1", "mask": "255.255.255.255"}, None),
        ({"router": "127.0.0.1", "mask": "0.0.0.0"}, None),
    ],
    ids=["in the subnet", "the address itself", "outside the subnet", "no subnet", "loopback"],
)
def test_a_gateway_that_cannot_be_reached_is_left_out(given: dict[str, str], gateway: str | None) -> None:
    lease = Exchange().bound(**given).machine.lease
    assert lease is not None
    assert lease.gateway == (IPv4Address(gateway) if gateway else None)


def test_name_servers_that_are_no_machines_are_left_out() -> None:
    lease = Exchange().bound(dns=["0.0.0.0", "255.255.255.255", "224.0.0.251", "10.0.0.2"]).machine.lease
    assert lease is not None
    assert lease.name_servers == (IPv4Address("10.0.0.2"),)
