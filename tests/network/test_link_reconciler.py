"""Reconciles real links in the test's own network namespace, without a container."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NoReturn

import pytest

from controller import errors
from controller.api import runtimes
from controller.container_root import Process
from controller.network import link_plan, link_reconciler
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.lease_manager import LeaseState
from controller.network.dhcp.leases import Lease
from controller.network.netns import Namespace
from controller.network.routes import LinkRoute, Route
from controller.network.snapshot import Snapshot
from tests.support.command import run
from tests.support.edge_host import eventually
from tests.support.lan import Lan
from tests.support.processes import bare


@pytest.fixture
def container() -> Iterator[Process]:
    """A process with its own network namespace, like a container's."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 300"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield bare(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()


def desired(lan: Lan, host: int, name: str, gateway: str = "") -> DesiredInterface:
    """A link on the LAN."""
    interface = runtimes.Interface(
        name=name,
        parent_interface=lan.parent,
        mode="Static",
        address=lan.address(host),
        subnet=str(lan.subnet),
        gateway=gateway or None,
    )
    return DesiredInterface(interface, f"02:00:00:00:01:{host:02x}", socket.if_nametoindex(lan.parent))


async def snapshot_of(container: Process) -> Snapshot:
    """The observed links and routes."""
    async with Namespace(container) as namespace:
        return await namespace.snapshot()


async def test_links_are_created_and_reachable(lan: Lan, container: Process) -> None:
    wanted = [desired(lan, 10, "plant", lan.gateway), desired(lan, 11, "cell")]

    assert await link_reconciler.reconcile_links(container, wanted, [])
    assert not await link_reconciler.reconcile_links(container, wanted, [])

    assert link_plan.faults(await snapshot_of(container), wanted) == {}
    assert lan.ping(lan.address(10))
    assert lan.mac_of(lan.address(11)) == wanted[1].mac_address


@pytest.mark.parametrize("subnet", ["{}/32", "{}/28"])
async def test_a_gateway_outside_the_subnet_is_used(lan: Lan, container: Process, subnet: str) -> None:
    wanted = desired(lan, 100, "plant", lan.gateway)
    fields = wanted.interface.model_copy(update={"subnet": subnet.format(lan.address(100))})
    wanted = replace(wanted, interface=fields)

    assert await link_reconciler.reconcile_links(container, [wanted], [])
    assert not await link_reconciler.reconcile_links(container, [wanted], [])

    assert (await snapshot_of(container)).default_routes == ((lan.gateway, "plant"),)
    assert lan.ping(lan.address(100))


async def test_routes_of_a_lease_come_and_go_with_it(lan: Lan, container: Process) -> None:
    gateway = IPv4Address(lan.gateway)
    routes = (Route(IPv4Network("172.16.0.0/16"), gateway), Route(IPv4Network("172.31.0.0/24")))
    address = IPv4Interface(f"{lan.address(100)}/24")
    lease = Lease(address, gateway, 0.0, 0.0, 60.0, 30.0, 50.0, gateway, routes=routes)
    interface = runtimes.Interface(name="plant", parent_interface=lan.parent)
    index = socket.if_nametoindex(lan.parent)
    wanted = DesiredInterface(interface, "02:00:00:00:01:64", index, LeaseState(lease, settled=True, kept=True))
    without = replace(wanted, lease_state=LeaseState(replace(lease, routes=()), settled=True, kept=True))

    for each, expected in ((wanted, routes), (without, ()), (wanted, routes)):
        assert await link_reconciler.reconcile_links(container, [each], [])
        assert not await link_reconciler.reconcile_links(container, [each], [])
        found = await snapshot_of(container)
        assert set(found.routes) == {LinkRoute(route, "plant") for route in expected}
        assert found.default_routes == ((lan.gateway, "plant"),)


async def test_names_are_swapped_and_addresses_changed_on_links_that_are_up(lan: Lan, container: Process) -> None:
    await link_reconciler.reconcile_links(
        container, [desired(lan, 10, "plant", lan.gateway), desired(lan, 11, "cell")], []
    )
    swapped = [desired(lan, 10, "cell", lan.gateway), desired(lan, 11, "plant")]

    await link_reconciler.reconcile_links(container, swapped, [])

    assert link_plan.faults(await snapshot_of(container), swapped) == {}


async def test_an_engines_name_can_be_reused(lan: Lan, container: Process) -> None:
    await link_reconciler.reconcile_links(container, [desired(lan, 10, "eth0")], [])
    await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant")], [])
    kept = (await snapshot_of(container)).links[0].alternative_names
    again = [desired(lan, 10, "plant"), desired(lan, 11, "eth0")]

    await link_reconciler.reconcile_links(container, again, [])

    assert kept == ("eth0",)
    assert link_plan.faults(await snapshot_of(container), again) == {}


async def test_a_mac_that_is_still_in_use_is_waited_for(lan: Lan, container: Process) -> None:
    mac = desired(lan, 10, "lingering").mac_address
    lingering = ("ip", "link", "add", "lingering", "link", lan.parent, "address", mac)
    run(*lingering, "type", "macvlan", "mode", "bridge")
    run("ip", "link", "set", "lingering", "up")
    repaired = asyncio.create_task(link_reconciler.reconcile_links(container, [desired(lan, 10, "plant")], []))
    await eventually(lambda: made(container), "the link is made")

    run("ip", "link", "delete", "lingering")
    await repaired

    assert lan.ping(lan.address(10))


async def made(container: Process) -> bool:
    """Return whether the link exists."""
    return bool((await snapshot_of(container)).links)


async def test_renaming_works_on_kernels_that_need_the_link_down(lan: Lan, container: Process) -> None:
    await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant", lan.gateway)], [])
    renamed = [desired(lan, 10, "cell", lan.gateway)]
    async with Namespace(container) as namespace:
        await namespace.apply(link_plan.renames(await namespace.snapshot(), renamed, live=False))

    # The kernel removed the route while the link was down.
    await link_reconciler.reconcile_links(container, renamed, [])

    assert link_plan.faults(await snapshot_of(container), renamed) == {}
    assert lan.ping(lan.address(10))


async def test_a_link_that_is_no_longer_wanted_is_removed(lan: Lan, container: Process) -> None:
    await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant"), desired(lan, 11, "cell")], [])

    await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant")], [])

    assert [link.name for link in (await snapshot_of(container)).links] == ["plant"]


async def test_the_hosts_own_network_is_never_entered() -> None:
    with pytest.raises(errors.Retry, match="host's network"):
        await link_reconciler.reconcile_links(bare(os.getpid()), [], [])


async def test_a_reused_process_id_is_not_entered(container: Process) -> None:
    with pytest.raises(errors.Retry, match="is not the container's"):
        await link_reconciler.reconcile_links(Process(container.pid, "c0ffee"), [], [])


async def test_a_process_that_is_gone_is_reported() -> None:
    with pytest.raises(errors.Retry, match="Cannot enter the network namespace"):
        await link_reconciler.reconcile_links(bare(2**22 + 1), [], [])


async def test_a_link_of_the_engine_keeps_the_engines_name_as_an_altname(lan: Lan, container: Process) -> None:
    wanted = desired(lan, 10, "plant")
    async with Namespace(container) as namespace:
        await namespace.run(lambda inside: inside.add_macvlan("eth0", lan.parent, wanted.mac_address))

    assert await link_reconciler.reconcile_links(container, [wanted], [wanted.mac_address])

    (link,) = (await snapshot_of(container)).links
    assert (link.name, link.alternative_names) == ("plant", ("eth0",))


async def test_a_missing_link_gets_its_name_from_the_link_that_has_it(lan: Lan, container: Process) -> None:
    await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant")], [])
    wanted = [desired(lan, 10, "cell"), desired(lan, 11, "plant")]

    await link_reconciler.reconcile_links(container, wanted, [])

    assert link_plan.faults(await snapshot_of(container), wanted) == {}


async def test_a_repair_starts_no_program(lan: Lan, container: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a program was started")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)

    assert await link_reconciler.reconcile_links(container, [desired(lan, 10, "plant", lan.gateway)], [])
