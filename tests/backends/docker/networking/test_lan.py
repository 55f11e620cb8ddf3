"""Runtimes of the Docker backend on a LAN: addresses, names and routes after the first and later starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controller.backends import base
from tests.backends.conftest import BackendHarness, interface
from tests.backends.inside import in_order, links_of, pid_of
from tests.support.command import run
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_a_runtime_answers_on_the_lan_with_its_pinned_mac(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10, macAddress="02:ab:00:00:00:10")]))

    assert lan.ping(lan.address(10))
    assert lan.mac_of(lan.address(10)) == "02:ab:00:00:00:10"
    assert await in_order(harness, target)


async def test_interfaces_have_the_names_of_the_spec_and_the_default_route_uses_the_first_gateway(
    harness: BackendHarness, lan: Lan, other_lan: Lan
) -> None:
    # Engines assign the names eth0 and eth1 themselves, in their own order.
    first = interface(lan, 10, "eth1") | {"gateway": None}
    target = await harness.up(harness.target(interfaces=[first, interface(other_lan, 11, "eth0")]))

    snapshot = await links_of(harness, target)

    named = {link.name: str(link.addresses[0].ip) for link in snapshot.links if link.kind == "macvlan"}
    assert named == {"eth1": lan.address(10), "eth0": other_lan.address(11)}
    assert snapshot.default_routes == ((other_lan.gateway, "eth0"),)
    assert lan.ping(lan.address(10))
    assert other_lan.ping(other_lan.address(11))


async def test_no_default_route_without_a_gateway(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10) | {"gateway": None}]))

    assert (await links_of(harness, target)).default_routes == ()


async def test_a_gateway_outside_the_subnet_is_the_default_route(harness: BackendHarness, lan: Lan) -> None:
    outside = interface(lan, 100, subnet=f"{lan.address(100)}/28")
    target = await harness.up(harness.target(interfaces=[outside]))

    assert (await links_of(harness, target)).default_routes == ((lan.gateway, "lan0"),)
    assert lan.ping(lan.address(100))
    assert await in_order(harness, target)


async def test_the_mac_is_the_same_after_delete_and_create(harness: BackendHarness, lan: Lan) -> None:
    desired = harness.target(interfaces=[interface(lan, 10)])
    await harness.up(desired)
    first = lan.mac_of(lan.address(10))
    await harness.down(desired)

    await harness.up(desired)

    assert first is not None
    assert lan.mac_of(lan.address(10)) == first


async def test_the_mac_of_the_target_wins_over_the_derived_one(harness: BackendHarness, lan: Lan) -> None:
    desired = dataclasses.replace(
        harness.target(interfaces=[interface(lan, 10)]), mac_addresses={"lan0": "02:ab:00:00:00:77"}
    )

    target = await harness.up(desired)

    assert lan.mac_of(lan.address(10)) == "02:ab:00:00:00:77"
    assert target.mac_addresses == {"lan0": "02:ab:00:00:00:77"}


@pytest.mark.parametrize("again", [base.Step.STOP_CONTAINER, None], ids=["stop and start", "restart"])
async def test_everything_is_in_order_after_another_start(
    harness: BackendHarness, lan: Lan, again: base.Step | None
) -> None:
    two = [interface(lan, 10, "plant"), interface(lan, 11, "cell")]
    target = await harness.up(harness.target(interfaces=two))

    await harness.run(target, *([again, base.Step.START_CONTAINER] if again else [base.Step.RESTART_CONTAINER]))

    assert await in_order(harness, target)
    assert lan.ping(lan.address(10))
    assert lan.ping(lan.address(11))


async def test_runtimes_share_a_lan_network_and_the_last_one_removes_it(
    harness: BackendHarness, lan: Lan, api: Any
) -> None:
    first = await harness.up(harness.target("plc1", interfaces=[interface(lan, 10)]))
    second = await harness.up(harness.target("plc2", interfaces=[interface(lan, 11)]))
    await harness.run(second, base.Step.STOP_CONTAINER)

    await harness.down(first)
    await harness.run(second, base.Step.START_CONTAINER)
    assert lan.ping(lan.address(11))
    await harness.down(second)

    assert api.networks(filters={"label": f"getedge.me/install-id={harness.install_id}"}) == []


async def test_each_of_two_links_on_one_lan_answers_for_its_own_address_only(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
    macs = {each.name: each.mac_address for each in (await harness.backend.observe(target)).network.interfaces}

    assert lan.macs_of(lan.address(10)) == {macs["lan0"]}
    assert lan.macs_of(lan.address(11)) == {macs["cell"]}
    assert lan.ping(lan.address(11))


async def test_ipv6_is_off_on_every_link(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
    entered = ("nsenter", f"--net=/proc/{await pid_of(harness, target)}/ns/net")

    assert run(*entered, "ip", "-6", "address", "show", "scope", "link").stdout == ""
    assert run(*entered, "ip", "-6", "address", "show", "scope", "global").stdout == ""
    assert lan.ping(lan.address(11))
