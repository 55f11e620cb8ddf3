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
from tests.backends.conftest import Bench, interface
from tests.backends.inside import changed
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_a_start_waits_until_the_address_is_free(bench: Bench, lan: Lan) -> None:
    mac = await asyncio.to_thread(lan.take, lan.address(30))
    target = await bench.run(
        bench.target(interfaces=[interface(lan, 30)]), base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER
    )

    with pytest.raises(errors.Waiting, match=mac) as refused:
        await bench.run(target, base.Step.START_CONTAINER)

    assert refused.value.reason == reasons.ADDRESS_CONFLICT
    assert not (await bench.backend.observe(target)).running
    await asyncio.to_thread(lan.release, lan.address(30))
    await bench.run(target, base.Step.START_CONTAINER)
    assert await asyncio.to_thread(lan.ping, lan.address(30))


async def test_a_running_runtime_keeps_running_and_the_other_machine_is_named(
    bench: Bench, lan: Lan, guard: AddressGuard
) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 31)]))
    before = await bench.backend.observe(target)
    assert before.interfaces[0].in_order

    mac = await asyncio.to_thread(lan.take, lan.address(31))
    await asyncio.to_thread(lan.speak, lan.address(31))
    async with asyncio.timeout(30):
        await anext(guard.changes())

    observed = await bench.backend.observe(target)
    (found,) = observed.interfaces
    assert (found.in_order, found.awaits) == (False, reasons.ADDRESS_CONFLICT)
    assert mac in found.detail
    assert observed.started_at == before.started_at
    assert observed.running


async def test_a_new_address_of_a_running_runtime_is_probed_first(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 32)]))
    await bench.backend.observe(target)
    await asyncio.to_thread(lan.take, lan.address(33))
    moved = changed(target, interfaces=[interface(lan, 33)])

    with pytest.raises(errors.Waiting) as refused:
        await bench.run(moved, base.Step.REPAIR_NETWORKS)

    assert refused.value.reason == reasons.ADDRESS_CONFLICT
    assert await asyncio.to_thread(lan.ping, lan.address(32))


async def test_the_lan_learns_a_new_hardware_address_at_once(bench: Bench, lan: Lan, api: Any) -> None:
    for mac in ("02:ab:00:00:00:51", "02:ab:00:00:00:52"):
        target = await bench.up(bench.target(interfaces=[interface(lan, 34, macAddress=mac)]))
        # A stale ARP entry would last for a minute.
        assert (await asyncio.to_thread(lan.neighbours)).get(lan.address(34), mac) == mac
        assert await asyncio.to_thread(lan.ping, lan.address(34))
        await bench.down(target)


async def test_of_two_runtimes_with_one_address_the_second_is_blocked_at_once(bench: Bench, lan: Lan) -> None:
    first = bench.target("plc1", interfaces=[interface(lan, 35)])
    second = bench.target("plc2", interfaces=[interface(lan, 35)])

    assert (await bench.backend.observe(first)).start_blockers == ()
    ((reason, message),) = (await bench.backend.observe(second)).start_blockers
    assert reason == reasons.ADDRESS_CONFLICT
    assert first.identity.device_id in message

    await bench.up(first)
    assert (await bench.backend.observe(first)).start_blockers == ()
    await bench.down(first)
    assert (await bench.backend.observe(second)).start_blockers == ()


async def test_of_two_runtimes_with_one_container_and_address_the_container_is_reported(bench: Bench, lan: Lan) -> None:
    first = bench.target("plc1", interfaces=[interface(lan, 37)])
    second = dataclasses.replace(first, identity=first.identity._replace(namespace="other"))
    await bench.backend.observe(first)

    ((reason, message),) = (await bench.backend.observe(second)).start_blockers

    assert reason == reasons.NAME_TAKEN
    assert f"namespace edge requested the container {first.identity.device_id}" in message


async def test_a_stopped_runtime_claims_no_address(bench: Bench, lan: Lan) -> None:
    await bench.backend.observe(bench.target("plc1", interfaces=[interface(lan, 36)], desiredState="Stopped"))

    assert (await bench.backend.observe(bench.target("plc2", interfaces=[interface(lan, 36)]))).start_blockers == ()


async def test_a_requested_restart_waits_during_an_address_conflict(
    bench: Bench, lan: Lan, guard: AddressGuard
) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 37)]))
    await bench.backend.observe(target)
    await asyncio.to_thread(lan.take, lan.address(37))
    await asyncio.to_thread(lan.speak, lan.address(37))
    async with asyncio.timeout(30):
        await anext(guard.changes())

    ((reason, _),) = (await bench.backend.observe(target)).start_blockers

    assert reason == reasons.ADDRESS_CONFLICT


async def test_an_address_of_another_runtime_is_a_conflict(bench: Bench, lan: Lan) -> None:
    await bench.up(bench.target("plc1", interfaces=[interface(lan, 10)]))

    with pytest.raises(errors.Waiting) as conflict:
        await bench.up(bench.target("plc2", interfaces=[interface(lan, 10)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT


async def test_an_address_of_an_interface_in_a_namespace_conflicts_too(bench: Bench, lan: Lan) -> None:
    # Docker knows nothing of the second interface on the same parent.
    two = bench.target("plc1", interfaces=[interface(lan, 10), interface(lan, 11, "cell")])
    await bench.up(two)
    await bench.backend.observe(two)

    with pytest.raises(errors.Waiting) as conflict:
        await bench.up(bench.target("plc2", interfaces=[interface(lan, 11)]))
    await bench.down(two)
    await bench.up(bench.target("plc2", interfaces=[interface(lan, 11)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT
