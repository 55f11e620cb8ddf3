"""Address conflicts with a machine on the LAN or another runtime: they block a start, and never stop a runtime."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.network.arp.guard import AddressGuard
from tests.backends.conftest import BackendHarness, interface
from tests.backends.inside import changed
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_a_start_waits_until_the_address_is_free(harness: BackendHarness, lan: Lan) -> None:
    mac = await asyncio.to_thread(lan.take, lan.address(30))
    target = await harness.run(
        harness.target(interfaces=[interface(lan, 30)]), base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER
    )

    with pytest.raises(errors.Waiting, match=mac) as refused:
        await harness.run(target, base.Step.START_CONTAINER)

    assert refused.value.reason == reasons.ADDRESS_CONFLICT
    assert not (await harness.backend.observe(target)).running
    await asyncio.to_thread(lan.release, lan.address(30))
    await harness.run(target, base.Step.START_CONTAINER)
    assert await asyncio.to_thread(lan.ping, lan.address(30))


async def test_a_probe_beside_the_creation_also_finds_the_conflict(harness: BackendHarness, lan: Lan) -> None:
    mac = await asyncio.to_thread(lan.take, lan.address(38))
    target = harness.target(interfaces=[interface(lan, 38)])
    steps = (base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER)
    harness.backend.expect(steps, target)

    with pytest.raises(errors.Waiting, match=mac) as refused:
        await harness.run(target, *steps)

    assert refused.value.reason == reasons.ADDRESS_CONFLICT
    assert not (await harness.backend.observe(target)).running


async def test_a_running_runtime_keeps_running_and_the_other_machine_is_named(
    harness: BackendHarness, lan: Lan, guard: AddressGuard
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 31)]))
    before = await harness.backend.observe(target)
    assert before.network.interfaces[0].in_order

    mac = await asyncio.to_thread(lan.take, lan.address(31))
    await asyncio.to_thread(lan.speak, lan.address(31))
    async with asyncio.timeout(30):
        await anext(guard.changes())

    observed = await harness.backend.observe(target)
    (found,) = observed.network.interfaces
    assert (found.in_order, found.awaits) == (False, reasons.ADDRESS_CONFLICT)
    assert mac in found.detail
    assert observed.started_at == before.started_at
    assert observed.running


async def test_a_new_address_of_a_running_runtime_is_probed_first(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 32)]))
    await harness.backend.observe(target)
    await asyncio.to_thread(lan.take, lan.address(33))
    moved = changed(target, interfaces=[interface(lan, 33)])

    with pytest.raises(errors.Waiting) as refused:
        await harness.run(moved, base.Step.REPAIR_NETWORKS)

    assert refused.value.reason == reasons.ADDRESS_CONFLICT
    assert await asyncio.to_thread(lan.ping, lan.address(32))


async def test_the_lan_learns_a_new_hardware_address_at_once(harness: BackendHarness, lan: Lan, api: Any) -> None:
    for mac in ("02:ab:00:00:00:51", "02:ab:00:00:00:52"):
        target = await harness.up(harness.target(interfaces=[interface(lan, 34, macAddress=mac)]))
        # A stale ARP entry would last for a minute.
        assert (await asyncio.to_thread(lan.neighbours)).get(lan.address(34), mac) == mac
        assert await asyncio.to_thread(lan.ping, lan.address(34))
        await harness.down(target)


async def test_of_two_runtimes_with_one_address_the_second_is_blocked_at_once(
    harness: BackendHarness, lan: Lan
) -> None:
    first = harness.target("plc1", interfaces=[interface(lan, 35)])
    second = harness.target("plc2", interfaces=[interface(lan, 35)])

    assert (await harness.backend.observe(first)).start_blockers == ()
    ((reason, message),) = (await harness.backend.observe(second)).start_blockers
    assert reason == reasons.ADDRESS_CONFLICT
    assert first.identity.device_id in message

    await harness.up(first)
    assert (await harness.backend.observe(first)).start_blockers == ()
    await harness.down(first)
    assert (await harness.backend.observe(second)).start_blockers == ()


async def test_of_two_runtimes_with_one_container_and_address_the_container_is_reported(
    harness: BackendHarness, lan: Lan
) -> None:
    first = harness.target("plc1", interfaces=[interface(lan, 37)])
    second = dataclasses.replace(first, identity=first.identity._replace(namespace="other"))
    await harness.backend.observe(first)

    ((reason, message),) = (await harness.backend.observe(second)).start_blockers

    assert reason == reasons.NAME_TAKEN
    assert f"namespace edge requested the container {first.identity.device_id}" in message


async def test_a_stopped_runtime_claims_no_address(harness: BackendHarness, lan: Lan) -> None:
    await harness.backend.observe(harness.target("plc1", interfaces=[interface(lan, 36)], desiredState="Stopped"))

    assert (await harness.backend.observe(harness.target("plc2", interfaces=[interface(lan, 36)]))).start_blockers == ()


async def test_a_requested_restart_waits_during_an_address_conflict(
    harness: BackendHarness, lan: Lan, guard: AddressGuard
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 37)]))
    await harness.backend.observe(target)
    await asyncio.to_thread(lan.take, lan.address(37))
    await asyncio.to_thread(lan.speak, lan.address(37))
    async with asyncio.timeout(30):
        await anext(guard.changes())

    ((reason, _),) = (await harness.backend.observe(target)).start_blockers

    assert reason == reasons.ADDRESS_CONFLICT


async def test_an_address_of_another_runtime_is_a_conflict(harness: BackendHarness, lan: Lan) -> None:
    await harness.up(harness.target("plc1", interfaces=[interface(lan, 10)]))

    with pytest.raises(errors.Waiting) as conflict:
        await harness.up(harness.target("plc2", interfaces=[interface(lan, 10)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT


async def test_an_address_of_an_interface_in_a_namespace_conflicts_too(harness: BackendHarness, lan: Lan) -> None:
    # Docker knows nothing of the second interface on the same parent.
    two = harness.target("plc1", interfaces=[interface(lan, 10), interface(lan, 11, "cell")])
    await harness.up(two)
    await harness.backend.observe(two)

    with pytest.raises(errors.Waiting) as conflict:
        await harness.up(harness.target("plc2", interfaces=[interface(lan, 11)]))
    await harness.down(two)
    await harness.up(harness.target("plc2", interfaces=[interface(lan, 11)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT
