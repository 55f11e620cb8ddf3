"""Runtimes of the Docker backend on a LAN: addresses, names and routes, from the first start and after meddling."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller import errors
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.host import Host
from controller.container_root import Process
from controller.network import resolver
from controller.network.namespace import Namespace, Snapshot
from controller.network.parents import Parents
from controller.resources import reasons
from tests.backends.conftest import INTERNAL_POOL, Bench, interface
from tests.support.command import run
from tests.support.dockerd import Engine
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


@pytest.fixture
def other_lan(docker_machine: None) -> Iterator[Lan]:
    """A second LAN."""
    with Lan() as made:
        yield made


async def links_of(bench: Bench, target: Target) -> Snapshot:
    """The links inside the runtime."""
    async with Namespace(await process_of(bench, target)) as namespace:
        return await namespace.snapshot()


async def pid_of(bench: Bench, target: Target) -> int:
    """The number of the runtime's first process."""
    return (await process_of(bench, target)).pid


async def process_of(bench: Bench, target: Target) -> Process:
    """The runtime's first process."""
    running: list[base.RunningContainer] = await bench.backend.running()
    return next(Process(found.pid, found.container) for found in running if found.identity == target.identity)


def wished(target: Target, **spec: Any) -> Target:
    """The target of a changed spec."""
    wire = target.spec.wire() | spec
    return dataclasses.replace(target, generation=2, spec=type(target.spec).model_validate(wire))


async def in_order(bench: Bench, target: Target) -> bool:
    """Whether the backend finds all interfaces as the spec asks, and no other."""
    observed = await bench.backend.observe(target)
    assert {found.name: found.detail for found in observed.interfaces if not found.in_order} == {}
    return observed.internal_attached and len(observed.interfaces) == len(target.spec.interfaces)


async def test_a_runtime_answers_on_the_lan_with_its_pinned_mac(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10, macAddress="02:ab:00:00:00:10")]))

    assert lan.ping(lan.address(10))
    assert lan.mac_of(lan.address(10)) == "02:ab:00:00:00:10"
    assert await in_order(bench, target)


async def test_interfaces_have_the_specs_names_and_the_route_goes_over_the_first_gateway(
    bench: Bench, lan: Lan, other_lan: Lan
) -> None:
    # eth0 and eth1 are the names that engines give by themselves, in their own order.
    first = interface(lan, 10, "eth1") | {"gateway": None}
    target = await bench.up(bench.target(interfaces=[first, interface(other_lan, 11, "eth0")]))

    snapshot = await links_of(bench, target)

    named = {link.name: str(link.addresses[0].ip) for link in snapshot.links if link.kind == "macvlan"}
    assert named == {"eth1": lan.address(10), "eth0": other_lan.address(11)}
    assert snapshot.default_routes == ((other_lan.gateway, "eth0"),)
    assert lan.ping(lan.address(10))
    assert other_lan.ping(other_lan.address(11))


async def test_no_default_route_without_a_gateway(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10) | {"gateway": None}]))

    assert (await links_of(bench, target)).default_routes == ()


async def test_the_mac_is_the_same_after_delete_and_create(bench: Bench, lan: Lan) -> None:
    wish = bench.target(interfaces=[interface(lan, 10)])
    await bench.up(wish)
    first = lan.mac_of(lan.address(10))
    await bench.down(wish)

    await bench.up(wish)

    assert first is not None
    assert lan.mac_of(lan.address(10)) == first


async def test_a_mac_that_is_remembered_wins_over_the_derived_one(bench: Bench, lan: Lan) -> None:
    wish = dataclasses.replace(
        bench.target(interfaces=[interface(lan, 10)]), mac_addresses={"lan0": "02:ab:00:00:00:77"}
    )

    target = await bench.up(wish)

    assert lan.mac_of(lan.address(10)) == "02:ab:00:00:00:77"
    assert target.mac_addresses == {"lan0": "02:ab:00:00:00:77"}


@pytest.mark.parametrize("again", [base.StopContainer, None], ids=["stop and start", "restart"])
async def test_everything_is_in_order_after_another_start(
    bench: Bench, lan: Lan, again: type[base.Step] | None
) -> None:
    two = [interface(lan, 10, "plant"), interface(lan, 11, "cell")]
    target = await bench.up(bench.target(interfaces=two))

    await bench.run(target, *([again, base.StartContainer] if again else [base.RestartContainer]))

    assert await in_order(bench, target)
    assert lan.ping(lan.address(10))
    assert lan.ping(lan.address(11))


async def test_a_restart_by_docker_itself_is_mended_in_place(bench: Bench, lan: Lan, api: Any) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10, "plant"), interface(lan, 11, "cell")]))
    api.restart(target.identity.device_id, timeout=1)
    before = await bench.backend.observe(target)
    assert "cell" in {found.name for found in before.interfaces if not found.in_order}

    await bench.run(target, base.RepairNetworks)

    assert await in_order(bench, target)
    assert (await bench.backend.observe(target)).started_at == before.started_at
    assert lan.ping(lan.address(11))


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
async def test_interfaces_change_while_the_runtime_runs(bench: Bench, lan: Lan, other_lan: Lan, change: str) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    before = await bench.backend.observe(target)
    wish = wished(target, interfaces=CHANGES[change](lan, other_lan))
    assert bench.backend.changes_in_place(wish, before)

    await bench.run(wish, base.RepairNetworks)

    assert await in_order(bench, wish)
    assert (await bench.backend.observe(wish)).started_at == before.started_at
    for attached in wish.spec.interfaces:
        where = lan if attached.parent_interface == lan.parent else other_lan
        assert where.ping(attached.address or "")
    if not any(attached.address == lan.address(10) for attached in wish.spec.interfaces):
        assert lan.mac_of(lan.address(10), seconds=1) is None

    # What was changed in place holds over the next start.
    await bench.run(wish, base.RestartContainer)
    assert await in_order(bench, wish)


async def test_a_change_keeps_the_mac_address(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    before = lan.mac_of(lan.address(10))
    wish = wished(target, interfaces=[interface(lan, 20)])

    await bench.run(wish, base.RepairNetworks)
    changed = lan.mac_of(lan.address(20))
    await bench.run(wish, base.RestartContainer)

    assert before == changed == lan.mac_of(lan.address(20))


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
async def test_a_network_disconnected_by_hand_is_connected_again(
    bench: Bench, lan: Lan, api: Any, running: bool
) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    if not running:
        await bench.run(target, base.StopContainer)
    name = target.identity.device_id
    for network in api.inspect_container(name)["NetworkSettings"]["Networks"]:
        api.disconnect_container_from_network(name, network, force=True)
    assert not (await bench.backend.observe(target)).internal_attached

    await bench.run(target, base.RepairNetworks, base.StartContainer)

    assert await in_order(bench, target)
    assert lan.mac_of(lan.address(10)) == mac


async def test_an_internal_network_removed_by_hand_comes_back(bench: Bench, lan: Lan, api: Any) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    await bench.run(target, base.StopContainer)
    for network in api.networks(filters={"label": f"getedge.me/install-id={bench.install_id}"}):
        api.remove_network(network["Id"])

    await bench.run(target, base.StartContainer)

    assert await in_order(bench, target)
    assert lan.ping(lan.address(10))


async def test_a_parent_that_was_pulled_and_plugged_in_again_is_used_again(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    lan.unplug()
    without = await bench.backend.observe(target)
    with pytest.raises(errors.Waiting) as missing:
        await bench.run(target, base.RepairNetworks)
    lan.plug()

    await bench.run(target, base.RepairNetworks)

    assert without.running
    assert without.missing_parents == (lan.parent,)
    assert missing.value.reason == reasons.PARENT_MISSING
    assert lan.mac_of(lan.address(10)) == mac
    assert (await bench.backend.observe(target)).started_at == without.started_at


async def test_a_start_waits_for_a_parent_that_is_missing(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    await bench.run(target, base.StopContainer)
    lan.unplug()

    with pytest.raises(errors.Waiting) as missing:
        await bench.run(target, base.StartContainer)
    lan.plug()
    await bench.run(target, base.RepairNetworks, base.StartContainer)

    assert missing.value.reason == reasons.PARENT_MISSING
    assert lan.mac_of(lan.address(10)) == mac


async def test_a_creation_waits_for_a_parent_that_is_missing(bench: Bench, lan: Lan) -> None:
    wish = bench.target(interfaces=[interface(lan, 10) | {"parentInterface": "nosuch0"}])

    with pytest.raises(errors.Waiting) as missing:
        await bench.run(wish, base.ResolveImage, base.CreateContainer)

    assert missing.value.reason == reasons.PARENT_MISSING


async def test_an_address_that_another_runtime_has_is_a_conflict(bench: Bench, lan: Lan) -> None:
    await bench.up(bench.target("plc1", interfaces=[interface(lan, 10)]))

    with pytest.raises(errors.Waiting) as conflict:
        await bench.up(bench.target("plc2", interfaces=[interface(lan, 10)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT


async def test_an_address_made_in_a_namespace_conflicts_too(bench: Bench, lan: Lan) -> None:
    # Docker knows nothing of the second interface on the same parent.
    two = bench.target("plc1", interfaces=[interface(lan, 10), interface(lan, 11, "cell")])
    await bench.up(two)
    await bench.backend.observe(two)

    with pytest.raises(errors.Waiting) as conflict:
        await bench.up(bench.target("plc2", interfaces=[interface(lan, 11)]))
    await bench.down(two)
    await bench.up(bench.target("plc2", interfaces=[interface(lan, 11)]))

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT


async def test_a_network_that_a_person_connects_is_left_alone(bench: Bench, lan: Lan, other_lan: Lan, api: Any) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    pools, options = {"Config": [{"Subnet": str(other_lan.subnet)}]}, {"parent": other_lan.parent}
    name = f"foreign-{bench.install_id}"
    foreign = api.create_network(name, driver="macvlan", options=options, ipam=pools)["Id"]
    try:
        api.connect_container_to_network(target.identity.device_id, foreign)
        assert await in_order(bench, target)
        await bench.run(target, base.RepairNetworks)
        connected = api.inspect_container(target.identity.device_id)["NetworkSettings"]["Networks"]
        await bench.down(target)
    finally:
        api.remove_network(foreign)

    assert name in connected


async def test_a_subnet_of_another_docker_network_is_an_overlap(bench: Bench, lan: Lan, api: Any) -> None:
    pools = {"Config": [{"Subnet": str(lan.subnet)}]}
    foreign = api.create_network(f"foreign-{bench.install_id}", driver="bridge", ipam=pools)["Id"]
    try:
        with pytest.raises(errors.Stalled) as overlap:
            await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    finally:
        api.remove_network(foreign)

    assert overlap.value.reason == reasons.POOL_OVERLAP


async def test_somebody_elses_macvlan_network_on_the_same_lan_is_no_obstacle(bench: Bench, lan: Lan, api: Any) -> None:
    pools = {"Config": [{"Subnet": str(lan.subnet)}]}
    options = {"parent": lan.parent}
    foreign = api.create_network(f"foreign-{bench.install_id}", driver="macvlan", options=options, ipam=pools)["Id"]
    try:
        target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
        assert await in_order(bench, target)
        assert lan.ping(lan.address(10))
        await bench.down(target)
    finally:
        api.remove_network(foreign)


async def test_name_servers_change_in_place_and_hold_over_a_restart(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10, dns=["10.0.0.1"])]))
    wish = wished(target, interfaces=[interface(lan, 10, dns=["10.0.0.2", "10.0.0.3"])])
    assert not all(found.in_order for found in (await bench.backend.observe(wish)).interfaces)

    await bench.run(wish, base.RepairNetworks)
    assert await asyncio.to_thread(resolver.name_servers, await process_of(bench, wish)) == ("10.0.0.2", "10.0.0.3")
    await bench.run(wish, base.RestartContainer)

    assert await asyncio.to_thread(resolver.name_servers, await process_of(bench, wish)) == ("10.0.0.2", "10.0.0.3")
    assert await in_order(bench, wish)


async def test_runtimes_share_a_lan_network_and_the_last_one_removes_it(bench: Bench, lan: Lan, api: Any) -> None:
    first = await bench.up(bench.target("plc1", interfaces=[interface(lan, 10)]))
    second = await bench.up(bench.target("plc2", interfaces=[interface(lan, 11)]))
    await bench.run(second, base.StopContainer)

    await bench.down(first)
    await bench.run(second, base.StartContainer)
    assert lan.ping(lan.address(11))
    await bench.down(second)

    assert api.networks(filters={"label": f"getedge.me/install-id={bench.install_id}"}) == []


async def test_a_link_of_the_runtimes_own_is_not_ours_to_keep_or_lose(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    pid = str(await pid_of(bench, target))
    run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "add", "own0", "type", "veth", "peer", "name", "own1")

    await bench.run(target, base.RepairNetworks)

    assert "own0" in {link.name for link in (await links_of(bench, target)).links}


async def test_each_of_two_links_on_one_lan_answers_for_its_own_address_only(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
    macs = {each.name: each.mac_address for each in (await bench.backend.observe(target)).interfaces}

    assert lan.macs_of(lan.address(10)) == {macs["lan0"]}
    assert lan.macs_of(lan.address(11)) == {macs["cell"]}
    assert lan.ping(lan.address(11))


async def test_two_parents_on_one_lan_each_have_their_own(bench: Bench, lan: Lan) -> None:
    second = lan.second_parent()
    wished = [interface(lan, 10), interface(lan, 11, "cell") | {"parentInterface": second, "gateway": None}]
    target = await bench.up(bench.target(interfaces=wished))
    macs = {each.name: each.mac_address for each in (await bench.backend.observe(target)).interfaces}

    assert await in_order(bench, target)
    assert lan.macs_of(lan.address(10)) == {macs["lan0"]}
    assert lan.macs_of(lan.address(11)) == {macs["cell"]}
    assert lan.ping(lan.address(10))
    assert lan.ping(lan.address(11))


async def test_an_address_outside_the_parents_own_subnet_answers(bench: Bench, lan: Lan) -> None:
    run("ip", "addr", "add", "192.0.2.7/24", "dev", lan.parent)
    run("ip", "addr", "add", f"{lan.address(7)}/24", "dev", lan.parent)

    await bench.up(bench.target(interfaces=[interface(lan, 10)]))
    outside = interface(lan, 10, "cell") | {"address": "198.51.100.5", "subnet": "198.51.100.0/24", "gateway": None}
    await bench.up(bench.target("plc2", interfaces=[outside]))

    run("ip", "-n", lan.namespace, "addr", "add", "198.51.100.1/24", "dev", "lan0")
    assert lan.ping(lan.address(10))
    assert lan.ping("198.51.100.5")


async def test_a_wifi_parent_is_refused_with_the_remedy(engine: Engine, host: Host, bench: Bench, lan: Lan) -> None:
    wifi = DockerBackend(engine.url, bench.install_id, INTERNAL_POOL, host, interface_kind=lambda _: "wifi")
    try:
        ((reason, message),) = (await wifi.observe(bench.target(interfaces=[interface(lan, 10)]))).obstacles
    finally:
        wifi.close()

    assert reason == reasons.WIFI_PARENT
    assert "wired" in message


async def test_a_vlan_is_made_for_a_runtime_comes_back_with_its_nic_and_goes_with_it(
    engine: Engine, host: Host, install_id: str, runtime_image: str, lan: Lan
) -> None:
    # Not every kernel has VLANs: a macvlan of that name stands in for one.
    parents = Parents(install_id, lambda _: "macvlan mode bridge")
    backend = DockerBackend(engine.url, install_id, INTERNAL_POOL, host, parents=parents)
    bench, name = Bench(backend, install_id, runtime_image), f"{lan.parent}.10"
    wish = interface(lan, 10) | {"parentInterface": name, "subnet": str(lan.subnet), "gateway": lan.gateway}
    try:
        target = await bench.up(bench.target(interfaces=[wish]))
        assert lan.ping(lan.address(10))
        before = await pid_of(bench, target)

        lan.unplug()
        assert (await backend.observe(target)).missing_parents == (name,)
        lan.plug()
        assert (await backend.observe(target)).missing_parents == ()
        await bench.run(target, base.RepairNetworks)

        assert lan.ping(lan.address(10))
        assert await pid_of(bench, target) == before
        await bench.down(target)
        assert parents.numbers([name]) == {name: 0}
    finally:
        await backend.purge(volumes=True)
        backend.close()


async def test_ipv6_is_off_on_every_link(bench: Bench, lan: Lan) -> None:
    target = await bench.up(bench.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
    entered = ("nsenter", f"--net=/proc/{await pid_of(bench, target)}/ns/net")

    assert run(*entered, "ip", "-6", "address", "show", "scope", "link").stdout == ""
    assert run(*entered, "ip", "-6", "address", "show", "scope", "global").stdout == ""
    assert lan.ping(lan.address(11))
