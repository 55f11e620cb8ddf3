"""Changes of real links, addresses and routes in a network namespace, compared with what ip(8) shows."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.network import interfaces, link_changes, rtnetlink
from controller.network.address_changes import DeleteAddress, DeleteDefaultRoute, SetAddress, SetDefaultRoute
from controller.network.link_changes import AddAltname, Change, Delete, DeleteAltname, Rename, SetState
from controller.network.netns import Namespace
from tests.support import ownership
from tests.support.command import run
from tests.support.lan import PREFIX, Lan

MAC = "02:00:00:00:02:01"
ADDRESS = IPv4Interface("10.0.0.2/24")
UP = [SetAddress("plant", ADDRESS), SetState("plant", up=True)]


class Inside:
    """A new network namespace with the macvlan link ``plant`` on a LAN."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def apply(self, *changes: Change) -> None:
        async with Namespace(Path("/run/netns", self.name)) as namespace:
            await namespace.apply(changes)

    def shown(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``ip`` shows inside, without lo."""
        found = json.loads(run("ip", "-n", self.name, "-json", "-details", *arguments).stdout)
        return [each for each in found if each.get("ifname") != "lo"]

    @property
    def names(self) -> list[str]:
        return [link["ifname"] for link in self.shown("link")]


@pytest.fixture
async def inside(lan: Lan) -> AsyncIterator[Inside]:
    name = ownership.new_name(PREFIX)
    run("ip", "netns", "add", name)
    try:
        async with Namespace(Path("/run/netns", name)) as namespace:
            await namespace.run(lambda inside: inside.add_macvlan("plant", lan.parent, MAC))
        yield Inside(name)
    finally:
        run("ip", "netns", "delete", name, check=False)


async def test_a_macvlan_link_is_created_in_bridge_mode_on_its_parent(lan: Lan, inside: Inside) -> None:
    (link,) = inside.shown("link")

    assert link["linkinfo"]["info_kind"] == "macvlan"
    assert link["linkinfo"]["info_data"]["mode"] == "bridge"
    assert (link["address"], link["link_index"]) == (MAC, interfaces.index(lan.parent))
    assert "UP" not in link["flags"]


async def test_an_address_has_the_broadcast_address_of_its_network(inside: Inside) -> None:
    await inside.apply(*UP)
    await inside.apply(*UP)

    (link,) = inside.shown("-4", "address")
    (address,) = link["addr_info"]
    assert (address["local"], address["prefixlen"], address["broadcast"]) == ("10.0.0.2", 24, "10.0.0.255")
    assert "UP" in link["flags"]


@pytest.mark.parametrize("length", [31, 32])
async def test_an_address_without_a_network_has_no_broadcast_address(inside: Inside, length: int) -> None:
    await inside.apply(SetAddress("plant", IPv4Interface(f"10.0.0.2/{length}")))

    (address,) = inside.shown("-4", "address")[0]["addr_info"]
    assert (address["prefixlen"], "broadcast" in address) == (length, False)


async def test_only_the_given_address_is_deleted(inside: Inside) -> None:
    await inside.apply(SetAddress("plant", IPv4Interface("10.0.1.2/24")), SetAddress("plant", ADDRESS))
    await inside.apply(DeleteAddress("plant", IPv4Interface("10.0.1.2/24")))

    assert [info["local"] for info in inside.shown("-4", "address")[0]["addr_info"]] == ["10.0.0.2"]


async def test_a_default_route_replaces_the_one_before(inside: Inside) -> None:
    await inside.apply(*UP, SetDefaultRoute("plant", "10.0.0.1"), SetDefaultRoute("plant", "10.0.0.9"))

    (route,) = inside.shown("route", "show", "default")
    assert (route["gateway"], route["dev"], route["protocol"]) == ("10.0.0.9", "plant", "boot")


async def test_default_routes_are_deleted_with_and_without_a_gateway(inside: Inside) -> None:
    await inside.apply(*UP, SetDefaultRoute("plant", "10.0.0.1"))
    run("ip", "-n", inside.name, "route", "add", "default", "dev", "plant", "metric", "7")

    await inside.apply(DeleteDefaultRoute("plant", "10.0.0.1"), DeleteDefaultRoute("plant", ""))

    assert inside.shown("route", "show", "default") == []


async def test_a_link_is_renamed_while_it_is_up_and_has_alternative_names(inside: Inside) -> None:
    await inside.apply(*UP, Rename("plant", "cell"), AddAltname("cell", "eth0"), AddAltname("cell", "eth1"))
    await inside.apply(DeleteAltname("cell", "eth0"), SetState("eth1", up=False))

    (link,) = inside.shown("link")
    assert (link["ifname"], link["altnames"], "UP" in link["flags"]) == ("cell", ["eth1"], False)


async def test_a_link_is_deleted(inside: Inside) -> None:
    await inside.apply(Delete("plant"))
    assert inside.names == []


async def test_a_link_of_the_host_is_moved_in_and_out_under_free_names(lan: Lan, inside: Inside) -> None:
    name = lan.second_parent()
    async with Namespace(Path("/run/netns", inside.name)) as namespace:
        await namespace.move_in(name, "guest")
        moved = (inside.names, interfaces.index(name))
        await namespace.move_out("guest", name)

    assert moved == (["plant", "guest"], 0)
    assert (inside.names, interfaces.index(name) > 0) == (["plant"], True)


async def test_an_error_names_the_command_and_has_the_kernels_explanation(inside: Inside) -> None:
    expected = r"ip route replace default via 10.9.0.1 dev plant: Network is unreachable \(Nexthop has invalid gateway"
    with pytest.raises(errors.Retry, match=expected):
        await inside.apply(*UP, SetDefaultRoute("plant", "10.9.0.1"), Delete("plant"))

    assert inside.names == ["plant"]  # nothing after the failure


async def test_a_link_that_does_not_exist_is_named(inside: Inside) -> None:
    with pytest.raises(errors.Retry, match="ip link delete dev nosuch0: No such device"):
        await inside.apply(Delete("nosuch0"))


def test_changes_that_nobody_awaits_any_more_are_not_made() -> None:
    with rtnetlink.connect() as kernel, pytest.raises(OSError, match="canceled"):
        link_changes.apply(kernel, [Delete("nosuch0")], given_up=lambda: True)


def test_a_socket_knows_the_links_of_its_own_namespace() -> None:
    with rtnetlink.connect() as kernel:
        assert rtnetlink.index(kernel, "lo") == socket.if_nametoindex("lo")
