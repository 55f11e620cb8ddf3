"""Interference of a person or Docker with a runtime's networks: repaired in place, foreign objects left alone."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from tests.backends.conftest import BackendHarness, interface
from tests.backends.inside import in_order, links_of, pid_of
from tests.support.command import run
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_networks_are_repaired_in_place_after_a_restart_by_docker(
    harness: BackendHarness, lan: Lan, api: Any
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10, "plant"), interface(lan, 11, "cell")]))
    api.restart(target.identity.device_id, timeout=1)
    before = await harness.backend.observe(target)
    assert "cell" in {found.name for found in before.network.interfaces if not found.in_order}

    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert await in_order(harness, target)
    assert (await harness.backend.observe(target)).started_at == before.started_at
    assert lan.ping(lan.address(11))


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
async def test_a_disconnected_network_is_reconnected(
    harness: BackendHarness, lan: Lan, api: Any, running: bool
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    if not running:
        await harness.run(target, base.Step.STOP_CONTAINER)
    name = target.identity.device_id
    for network in api.inspect_container(name)["NetworkSettings"]["Networks"]:
        api.disconnect_container_from_network(name, network, force=True)
    assert not (await harness.backend.observe(target)).network.internal_attached

    await harness.run(target, base.Step.REPAIR_NETWORKS, base.Step.START_CONTAINER)

    assert await in_order(harness, target)
    assert lan.mac_of(lan.address(10)) == mac


async def test_a_removed_internal_network_is_recreated(harness: BackendHarness, lan: Lan, api: Any) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    await harness.run(target, base.Step.STOP_CONTAINER)
    for network in api.networks(filters={"label": f"getedge.me/install-id={harness.install_id}"}):
        api.remove_network(network["Id"])

    await harness.run(target, base.Step.START_CONTAINER)

    assert await in_order(harness, target)
    assert lan.ping(lan.address(10))


async def test_a_network_that_a_person_connects_is_left_alone(
    harness: BackendHarness, lan: Lan, other_lan: Lan, api: Any
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    pools, options = {"Config": [{"Subnet": str(other_lan.subnet)}]}, {"parent": other_lan.parent}
    name = f"foreign-{harness.install_id}"
    foreign = api.create_network(name, driver="macvlan", options=options, ipam=pools)["Id"]
    try:
        api.connect_container_to_network(target.identity.device_id, foreign)
        assert await in_order(harness, target)
        await harness.run(target, base.Step.REPAIR_NETWORKS)
        connected = api.inspect_container(target.identity.device_id)["NetworkSettings"]["Networks"]
        await harness.down(target)
    finally:
        api.remove_network(foreign)

    assert name in connected


async def test_a_subnet_of_another_docker_network_is_an_overlap(harness: BackendHarness, lan: Lan, api: Any) -> None:
    pools = {"Config": [{"Subnet": str(lan.subnet)}]}
    foreign = api.create_network(f"foreign-{harness.install_id}", driver="bridge", ipam=pools)["Id"]
    try:
        with pytest.raises(errors.Stalled) as overlap:
            await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    finally:
        api.remove_network(foreign)

    assert overlap.value.reason == reasons.POOL_OVERLAP


async def test_a_foreign_macvlan_network_on_the_same_lan_blocks_nothing(
    harness: BackendHarness, lan: Lan, api: Any
) -> None:
    pools = {"Config": [{"Subnet": str(lan.subnet)}]}
    options = {"parent": lan.parent}
    foreign = api.create_network(f"foreign-{harness.install_id}", driver="macvlan", options=options, ipam=pools)["Id"]
    try:
        target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
        assert await in_order(harness, target)
        assert lan.ping(lan.address(10))
        await harness.down(target)
    finally:
        api.remove_network(foreign)


async def test_a_link_that_the_runtime_created_is_left_alone(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    pid = str(await pid_of(harness, target))
    run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "add", "own0", "type", "veth", "peer", "name", "own1")

    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert "own0" in {link.name for link in (await links_of(harness, target)).links}
