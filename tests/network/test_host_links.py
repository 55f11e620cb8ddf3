"""Configurations of real links of the host, compared with what ip(8) shows."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, ip_interface
from typing import Any

import pytest

from controller import errors
from controller.network import host_links, rtnetlink_types
from controller.network.address_changes import RestoreAddress
from controller.network.host_links import Configuration
from controller.network.link_changes import AddVlan, Introduce, SetMtu, SetState
from controller.network.netlink_attributes import attributes
from tests.support.command import run
from tests.support.lan import Lan

GIVEN = (("10.0.0.2/24", "10.0.0.255"), ("10.0.1.2/32", ""), ("2001:db8::2/64", ""))


def shown(name: str) -> Any:
    """What ``ip`` shows of a link: its MTU, whether it is up, and the addresses that were given to it."""
    (link,) = json.loads(run("ip", "-json", "address", "show", "dev", name).stdout)
    given = {
        (f"{each['local']}/{each['prefixlen']}", each.get("broadcast", ""))
        for each in link["addr_info"]
        if each["scope"] == "global"
    }
    return link["address"], "UP" in link["flags"], link["mtu"], given


def described(body: bytes) -> Any:
    """The attributes of a new link's request, with those of its type."""
    found = attributes(body[rtnetlink_types.LINK_HEADER.size :])
    of_type = attributes(found.pop(rtnetlink_types.LINK_INFO))
    return found, of_type[rtnetlink_types.INFO_KIND], attributes(of_type[rtnetlink_types.INFO_DATA])


@pytest.fixture
def configured(lan: Lan) -> str:
    """A link with a configuration."""
    for address, broadcast in GIVEN:
        run("ip", "address", "add", address, *(("broadcast", broadcast) if broadcast else ()), "dev", lan.parent)
    run("ip", "link", "set", lan.parent, "mtu", "1400")
    return lan.parent


async def test_a_configuration_is_what_ip_shows_without_addresses_of_the_kernel(configured: str) -> None:
    found = await host_links.configuration(configured)
    assert (found.mac_address, found.up, found.mtu, set(found.addresses)) == shown(configured)
    assert found == Configuration(found.mac_address, up=True, mtu=1400, addresses=GIVEN)


async def test_a_configuration_is_restored_also_once_more(configured: str) -> None:
    before = shown(configured)
    run("ip", "address", "flush", "dev", configured)
    run("ip", "link", "set", configured, "mtu", "1500", "down")
    addresses = [(ip_interface(address), broadcast) for address, broadcast in GIVEN]

    for _ in range(2):  # an interrupted return is repeated
        await host_links.apply(
            [
                SetMtu(configured, 1400),
                SetState(configured, up=True),
                *(RestoreAddress(configured, each, IPv4Address(found) if found else None) for each, found in addresses),
            ]
        )

    assert shown(configured) == before


async def test_a_missing_link_is_an_error_in_the_kernels_words() -> None:
    with pytest.raises(errors.Retry, match="network of the host: No such device"):
        await host_links.configuration("nosuch0")
    with pytest.raises(errors.Retry, match="ip link set dev nosuch0 mtu 1400: No such device"):
        await host_links.apply([SetMtu("nosuch0", 1400)])


def test_a_vlan_is_requested_as_by_ip() -> None:
    # Not every kernel has VLANs. From: strace -e sendmsg -xx ip link add link lo name left.7 type vlan id 7
    asked = "0800050001000000 0b0003006c6566742e370000 18001200 08000100766c616e 0c000200 0600010007000000"
    expected = rtnetlink_types.LINK_HEADER.pack(0, 0, 0, 0, 0) + bytes.fromhex(asked)
    request = AddVlan("lo", "left.7", 7).request(1)
    assert (request.kind, request.flags) == (rtnetlink_types.NEW_LINK, rtnetlink_types.CREATE | rtnetlink_types.EXCLUDE)
    assert described(request.body) == described(expected)


def test_changes_are_shown_as_the_commands_of_ip() -> None:
    assert str(AddVlan("eth0", "new", 7)) == "link add name new link eth0 type vlan id 7"
    assert str(Introduce("new", "eth0.7", "ours")) == "link set dev new name eth0.7 alias ours up"
