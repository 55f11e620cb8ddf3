"""Addresses that two have: heard and asked for on a real LAN, defended at most every ten seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network.arp import packets
from controller.network.arp.guard import AddressGuard, Held
from tests.support.lan import Lan

OURS = bytes.fromhex("02ab00000041")
THEIRS = bytes.fromhex("02cd00000042")
ADDRESS = IPv4Address("10.0.0.5")


def test_an_announcement_claims_the_address_and_a_probe_none() -> None:
    assert packets.decode(packets.announcement(OURS, ADDRESS)) == (ADDRESS, OURS)
    assert packets.decode(packets.probe(OURS, ADDRESS)) is None


@given(st.binary(max_size=40))
def test_rubbish_claims_nothing_of_ethernet(data: bytes) -> None:
    assert packets.decode(data) is None or data[:6] == bytes.fromhex("000108000604")


@pytest.fixture
async def guard(docker_machine: None) -> AsyncIterator[AddressGuard]:
    """A guard that asks again soon."""
    made = AddressGuard(check_seconds=0.2)
    checking = asyncio.create_task(made.check())
    yield made
    checking.cancel()
    made.close()


def held(lan: Lan, number: int) -> Held:
    """An address of ours on the LAN."""
    return Held(lan.parent, IPv4Address(lan.address(number)), OURS)


async def changed(guard: AddressGuard) -> tuple[str, str]:
    """The next runtime that it tells of."""
    async with asyncio.timeout(30):
        return await anext(guard.changes())


async def test_an_address_that_nobody_has_is_free(guard: AddressGuard, lan: Lan) -> None:
    assert await guard.probe([held(lan, 60)]) == {}


async def test_an_address_that_somebody_has_is_told_with_who(guard: AddressGuard, lan: Lan) -> None:
    mac = await asyncio.to_thread(lan.take, lan.address(60))
    assert await guard.probe([held(lan, 60), held(lan, 61)]) == {held(lan, 60): mac}


async def test_an_interface_that_is_not_there_is_no_obstacle(guard: AddressGuard) -> None:
    assert await guard.probe([Held("nosuch0", ADDRESS, OURS)]) == {}


async def test_a_conflict_is_told_when_it_begins_and_when_it_ends(guard: AddressGuard, lan: Lan) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    assert guard.other(ours) == ""

    mac = await asyncio.to_thread(lan.take, lan.address(60))
    await asyncio.to_thread(lan.speak, lan.address(60))
    assert await changed(guard) == ("edge", "plc-1")
    assert guard.other(ours) == mac

    await asyncio.to_thread(lan.release, lan.address(60))
    assert await changed(guard) == ("edge", "plc-1")
    assert guard.other(ours) == ""


async def test_claims_with_ever_new_addresses_name_one_machine_a_minute(
    docker_machine: None, lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    time = [0.0]
    guard, ours = AddressGuard(clock=lambda: time[0]), held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    claims = [
        packets.Heard(ours.address, bytes.fromhex("02ef0000") + number.to_bytes(2, "big")) for number in range(500)
    ]
    try:
        for claim in claims:
            guard._heard(lan.parent, claim)
        assert guard.other(ours) == claims[0].mac.hex(":")
        time[0] = 60.0
        for claim in claims[1:]:
            guard._heard(lan.parent, claim)
        assert guard.other(ours) == claims[1].mac.hex(":")
    finally:
        guard.close()
    assert len([record for record in caplog.records if "is also" in record.getMessage()]) == 2


async def test_what_is_given_up_is_not_listened_for(guard: AddressGuard, lan: Lan) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    guard.guard("edge", "plc-1", [])
    await asyncio.to_thread(lan.take, lan.address(60))
    await asyncio.to_thread(lan.speak, lan.address(60))
    assert guard.other(ours) == ""


async def test_a_parent_that_comes_back_is_listened_on_again(guard: AddressGuard, lan: Lan) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    await asyncio.to_thread(lan.unplug)
    await asyncio.to_thread(lan.plug)
    await asyncio.to_thread(lan.take, lan.address(60))
    async with asyncio.timeout(30):
        while not guard.other(ours):  # every pass over a runtime says again what it has
            guard.guard("edge", "plc-1", [ours])
            await asyncio.to_thread(lan.speak, lan.address(60))


async def test_one_that_is_off_hears_nothing(lan: Lan) -> None:
    await asyncio.to_thread(lan.take, lan.address(60))
    assert await AddressGuard(enabled=False).probe([held(lan, 60)]) == {}
