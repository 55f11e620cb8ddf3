"""Address conflicts on a real LAN: detected, probed and defended at most every ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network.arp import packets
from controller.network.arp import probe as arp_probe
from controller.network.arp.arp_socket import ArpSocket
from controller.network.arp.guard import AddressGuard
from controller.network.arp.listeners import Listeners
from controller.network.arp.probe import GuardedAddress
from controller.network.arp.sockets import who_has
from tests.support import descriptors
from tests.support.lan import Lan

OURS = bytes.fromhex("02ab00000041")
THEIRS = bytes.fromhex("02cd00000042")
ADDRESS = IPv4Address("10.0.0.5")


def test_an_announcement_claims_the_address_and_a_probe_does_not() -> None:
    assert packets.decode(packets.announcement(OURS, ADDRESS)) == (ADDRESS, OURS)
    assert packets.decode(packets.probe(OURS, ADDRESS)) is None


@given(st.binary(max_size=40))
def test_malformed_packets_claim_nothing(data: bytes) -> None:
    assert packets.decode(data) is None or data[:6] == bytes.fromhex("000108000604")


@pytest.fixture
async def guard(docker_machine: None) -> AsyncIterator[AddressGuard]:
    """A guard with a short check interval."""
    made = AddressGuard(check_seconds=0.2)
    checking = asyncio.create_task(made.controller.run())
    yield made
    checking.cancel()
    made.close()


def held(lan: Lan, number: int) -> GuardedAddress:
    """One of our addresses on the LAN."""
    return GuardedAddress(lan.parent, IPv4Address(lan.address(number)), OURS)


async def changed(guard: AddressGuard) -> tuple[str, str]:
    """The next runtime that the guard reports."""
    async with asyncio.timeout(30):
        return await anext(guard.changes())


async def test_a_question_is_answered_with_more_open_files_than_select_accepts(lan: Lan) -> None:
    with descriptors.allowed(4096), contextlib.ExitStack() as held:
        for _ in range(1024):
            held.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        assert await asyncio.to_thread(who_has, lan.parent, IPv4Address(lan.gateway))


async def test_an_unused_address_is_free(guard: AddressGuard, lan: Lan) -> None:
    assert await guard.probe([held(lan, 60)]) == {}


async def test_a_used_address_is_reported_with_the_other_mac(guard: AddressGuard, lan: Lan) -> None:
    mac = await asyncio.to_thread(lan.take, lan.address(60))
    assert await guard.probe([held(lan, 60), held(lan, 61)]) == {held(lan, 60): mac}


async def test_a_missing_interface_does_not_fail_the_probe(guard: AddressGuard) -> None:
    assert await guard.probe([GuardedAddress("nosuch0", ADDRESS, OURS)]) == {}


async def test_the_start_and_the_end_of_a_conflict_are_reported(guard: AddressGuard, lan: Lan) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    assert guard.rival(ours) == ""

    mac = await asyncio.to_thread(lan.take, lan.address(60))
    await asyncio.to_thread(lan.speak, lan.address(60))
    assert await changed(guard) == ("edge", "plc-1")
    assert guard.rival(ours) == f"the machine {mac}"

    await asyncio.to_thread(lan.release, lan.address(60))
    assert await changed(guard) == ("edge", "plc-1")
    assert guard.rival(ours) == ""


@pytest.mark.parametrize("loss", ["down", "no carrier"])
async def test_a_parent_without_a_link_does_not_end_a_conflict(docker_machine: None, lan: Lan, loss: str) -> None:
    guard, ours = AddressGuard(), held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    guard._on_claim(lan.parent, packets.ArpClaim(ours.address, THEIRS))
    await asyncio.to_thread(lan.set_up if loss == "down" else lan.set_carrier, up=False)
    try:
        for _ in range(5):
            await guard._check()
        assert guard.rival(ours) == f"the machine {THEIRS.hex(':')}"
    finally:
        guard.close()


async def test_a_machine_that_answers_seldom_is_one_conflict(
    docker_machine: None, lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    guard, ours = AddressGuard(), held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    try:
        for _ in range(3):
            guard._on_claim(lan.parent, packets.ArpClaim(ours.address, THEIRS))
            await guard._check()
            await guard._check()
        assert guard.rival(ours) == f"the machine {THEIRS.hex(':')}"
        await guard._check()
        assert guard.rival(ours) == ""
    finally:
        guard.close()
    assert len([record for record in caplog.records if "is also" in record.getMessage()]) == 1


async def test_a_removal_that_a_probe_notices_first_reopens_the_socket(lan: Lan) -> None:
    listeners = Listeners(lambda *_: None)
    needed = {lan.parent: [ADDRESS]}
    listeners.listen(needed)
    # Without an await in between, so that the probe gets the error that the kernel reports once.
    lan.unplug()
    listeners.probe(lan.parent, ADDRESS)
    assert not listeners.is_listening(lan.parent)
    lan.plug()
    listeners.listen(needed)
    assert listeners.is_listening(lan.parent)
    listeners.listen({})


async def test_of_changing_macs_two_are_reported_and_then_several_machines(
    docker_machine: None, lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    time = [0.0]
    guard, ours = AddressGuard(clock=lambda: time[0]), held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    macs = [bytes.fromhex("02ef0000") + number.to_bytes(2, "big") for number in range(500)]
    seen = []
    try:
        for _ in range(60):
            for mac in macs:
                guard._on_claim(lan.parent, packets.ArpClaim(ours.address, mac))
            seen.append(guard.rival(ours))
            time[0] += 1.0
    finally:
        guard.close()
    assert seen == [f"the machine {mac.hex(':')}" for mac in macs[:2]] + ["several machines"] * 58
    assert len([record for record in caplog.records if "is also" in record.getMessage()]) == 3


async def test_two_machines_that_take_turns_are_reported_once_each(
    docker_machine: None, lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    time = [0.0]
    guard, ours = AddressGuard(clock=lambda: time[0]), held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    try:
        for mac in (THEIRS, bytes.fromhex("02cd00000043")) * 20:
            guard._on_claim(lan.parent, packets.ArpClaim(ours.address, mac))
            time[0] += 2.0
    finally:
        guard.close()
    assert len([record for record in caplog.records if "is also" in record.getMessage()]) == 2


async def test_a_released_address_is_not_guarded(guard: AddressGuard, lan: Lan) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    guard.guard("edge", "plc-1", [])
    await asyncio.to_thread(lan.take, lan.address(60))
    await asyncio.to_thread(lan.speak, lan.address(60))
    assert guard.rival(ours) == ""


@pytest.mark.parametrize("down_before", [False, True])
async def test_a_parent_that_comes_back_is_guarded_again(guard: AddressGuard, lan: Lan, down_before: bool) -> None:
    ours = held(lan, 60)
    guard.guard("edge", "plc-1", [ours])
    if down_before:  # then the kernel does not report the removal
        await asyncio.to_thread(lan.set_up, up=False)
    await asyncio.to_thread(lan.unplug)
    await asyncio.to_thread(lan.plug)
    await asyncio.to_thread(lan.take, lan.address(60))
    async with asyncio.timeout(30):
        while not guard.rival(ours):  # every reconcile pass guards the runtime's addresses again
            guard.guard("edge", "plc-1", [ours])
            await asyncio.to_thread(lan.speak, lan.address(60))


async def test_a_disabled_guard_reports_nothing(lan: Lan) -> None:
    await asyncio.to_thread(lan.take, lan.address(60))
    assert await AddressGuard(enabled=False).probe([held(lan, 60)]) == {}


async def test_a_probe_that_is_begun_early_also_hears_claims_after_its_last_question(
    guard: AddressGuard, lan: Lan
) -> None:
    probe = guard.begin_probe([held(lan, 60)])
    await probe._asking
    guard._on_claim(lan.parent, packets.ArpClaim(held(lan, 60).address, THEIRS))

    assert await probe.answers() == {held(lan, 60): THEIRS.hex(":")}
    assert not probe.covers([held(lan, 60)])


async def test_a_probe_that_nobody_awaits_ends_by_itself(
    guard: AddressGuard, lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arp_probe, "VALID_SECONDS", 0.05)
    probe = guard.begin_probe([held(lan, 60)])
    assert probe.covers([held(lan, 60)])

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(probe._asking, 30)
    assert not probe.covers([held(lan, 60)])
    assert not guard._listeners.is_listening(lan.parent)


async def test_a_probe_on_a_parent_that_is_down_is_not_complete(guard: AddressGuard, lan: Lan) -> None:
    await asyncio.to_thread(lan.set_up, up=False)
    probe = guard.begin_probe([held(lan, 60)])
    assert await probe.answers() == {}
    assert not probe.complete


async def test_sockets_are_closed_outside_the_event_loop(
    guard: AddressGuard, lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_in: list[threading.Thread] = []
    close = ArpSocket.close

    def record(arp: ArpSocket) -> None:
        closed_in.append(threading.current_thread())
        close(arp)

    monkeypatch.setattr(ArpSocket, "close", record)
    await guard.probe([held(lan, 60)])
    await asyncio.get_running_loop().shutdown_default_executor()

    assert closed_in
    assert threading.main_thread() not in closed_in
