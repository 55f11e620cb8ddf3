"""Changes of interfaces in the spec of a running runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controller.backends import base
from controller.network import resolver
from tests.backends.conftest import BackendHarness, interface
from tests.backends.inside import changed, in_order, process_of
from tests.support.lan import Lan

pytestmark = pytest.mark.docker
CHANGES: dict[str, Callable[[Lan, Lan], list[dict[str, Any]]]] = {
    "another address": lambda lan, other: [interface(lan, 20)],
    "another name": lambda lan, other: [interface(lan, 10, "plant")],
    "another MAC address": lambda lan, other: [interface(lan, 10, macAddress="02:ab:00:00:00:99")],
    "another parent": lambda lan, other: [interface(other, 10)],
    "one more": lambda lan, other: [interface(lan, 10), interface(other, 11, "cell")],
    "one more on the same parent": lambda lan, other: [interface(lan, 10), interface(lan, 12, "cell")],
    "none": lambda lan, other: [],
}


@pytest.mark.parametrize("change", CHANGES)
async def test_interfaces_change_while_the_runtime_runs(
    harness: BackendHarness, lan: Lan, other_lan: Lan, change: str
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    before = await harness.backend.observe(target)
    desired = changed(target, interfaces=CHANGES[change](lan, other_lan))
    assert harness.backend.changes_in_place(desired, before)

    await harness.run(desired, base.Step.REPAIR_NETWORKS)

    assert await in_order(harness, desired)
    assert (await harness.backend.observe(desired)).started_at == before.started_at
    for attached in desired.spec.interfaces:
        where = lan if attached.parent_interface == lan.parent else other_lan
        assert where.ping(attached.address or "")
    if not any(attached.address == lan.address(10) for attached in desired.spec.interfaces):
        assert lan.mac_of(lan.address(10), seconds=1) is None

    # Changes in place survive the next start.
    await harness.run(desired, base.Step.RESTART_CONTAINER)
    assert await in_order(harness, desired)


async def test_a_change_keeps_the_mac_address(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    before = lan.mac_of(lan.address(10))
    desired = changed(target, interfaces=[interface(lan, 20)])

    await harness.run(desired, base.Step.REPAIR_NETWORKS)
    after = lan.mac_of(lan.address(20))
    await harness.run(desired, base.Step.RESTART_CONTAINER)

    assert before == after == lan.mac_of(lan.address(20))


async def test_name_servers_change_in_place_and_survive_a_restart(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10, dns=["10.0.0.1"])]))
    desired = changed(target, interfaces=[interface(lan, 10, dns=["10.0.0.2", "10.0.0.3"])])
    assert not all(found.in_order for found in (await harness.backend.observe(desired)).network.interfaces)

    await harness.run(desired, base.Step.REPAIR_NETWORKS)
    assert await asyncio.to_thread(resolver.name_servers, await process_of(harness, desired)) == (
        "10.0.0.2",
        "10.0.0.3",
    )
    await harness.run(desired, base.Step.RESTART_CONTAINER)

    assert await asyncio.to_thread(resolver.name_servers, await process_of(harness, desired)) == (
        "10.0.0.2",
        "10.0.0.3",
    )
    assert await in_order(harness, desired)
