"""The host's interfaces: real veths and bridges, and a fake /sys for hardware that a test machine lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from controller.network import interfaces
from controller.network.interfaces import HostInterface, HostInterfaces, default_gateways
from tests.support import ownership, requirements
from tests.support.command import run
from tests.support.lan import Lan

POOL = IPv4Network("10.213.0.0/16")
NO_ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


class Sysfs:
    """A fake /sys/class/net."""

    def __init__(self, root: Path) -> None:
        self.root = root / "net"
        self.root.mkdir()
        self.routes = root / "route"
        self.routes.write_text(NO_ROUTES)

    def add(self, name: str, *parts: str, devtype: str = "", flags: int = 0x1003, lower: bool = False) -> None:
        folder = self.root / name
        folder.mkdir()
        (folder / "uevent").write_text(f"DEVTYPE={devtype}\nINTERFACE={name}\n" if devtype else f"INTERFACE={name}\n")
        (folder / "flags").write_text(hex(flags))
        (folder / "address").write_text("02:00:00:00:00:01\n")
        (folder / "ifindex").write_text("7\n")
        (folder / "iflink").write_text("3\n" if lower else "7\n")
        for part in parts:
            (folder / part).mkdir()

    def kinds(self, *, include_virtual: bool) -> dict[str, str]:
        found = HostInterfaces(POOL, sys_class_net=self.root, routes=self.routes)
        return {one.name: one.kind for one in found.snapshot(include_virtual=include_virtual)}


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    made = Sysfs(tmp_path)
    made.add("zz-nic", "device")
    made.add("zz-nic.10", "lower_zz-nic", devtype="vlan", lower=True)
    made.add("zz-wifi", "device", "phy80211", devtype="wlan")
    made.add("zz-oldwifi", "device", "wireless")
    made.add("zz-bond", "lower_zz-nic", devtype="bond")
    made.add("zz-bridge", "bridge", devtype="bridge")
    made.add("zz-veth")
    made.add("zz-team", "lower_zz-nic")
    made.add("zz-child", "lower_zz-nic", lower=True)
    made.add("zz-lo", flags=0x9)
    (made.root / "bonding_masters").write_text("zz-bond\n")  # the kernel also has this file among the folders
    return made


PARENTS = {
    "zz-bond": "bond",
    "zz-nic": "physical",
    "zz-nic.10": "vlan",
    "zz-oldwifi": "wifi",
    "zz-wifi": "wifi",
}


def test_physical_vlan_wifi_and_bonds_are_parents(sysfs: Sysfs) -> None:
    assert sysfs.kinds(include_virtual=False) == PARENTS


def test_virtual_interfaces_are_optional_and_loopback_and_macvlan_children_never_listed(sysfs: Sysfs) -> None:
    virtual = {"zz-bridge": "bridge", "zz-team": "virtual", "zz-veth": "virtual"}
    assert sysfs.kinds(include_virtual=True) == PARENTS | virtual


@pytest.fixture
def bridge() -> Iterator[str]:
    requirements.root()
    name = ownership.new_name("el")
    run("ip", "link", "add", name, "type", "bridge")
    try:
        yield name
    finally:
        run("ip", "link", "delete", name, check=False)


def test_a_real_interface_has_its_addresses_mac_and_subnet(bridge: str) -> None:
    run("ip", "link", "set", bridge, "address", "02:00:5e:00:53:01", "up")
    run("ip", "addr", "add", "198.51.100.9/28", "dev", bridge)
    run("ip", "addr", "add", "198.51.100.77/32", "dev", bridge, "label", f"{bridge[:12]}:x"[:15])
    snapshots = HostInterfaces(POOL)
    (found,) = [one for one in snapshots.snapshot(include_virtual=True) if one.name == bridge]
    assert (found.kind, found.is_up, found.mac_address) == ("bridge", True, "02:00:5e:00:53:01")
    assert (found.ip_address, found.subnet, found.gateway) == ("198.51.100.9", "198.51.100.0/28", "")
    assert bridge not in {one.name for one in snapshots.snapshot()}


def test_the_controllers_own_bridges_and_their_ports_are_never_listed(bridge: str) -> None:
    run("ip", "addr", "add", "198.51.100.17/28", "dev", bridge)
    with Lan() as lan:
        run("ip", "link", "set", lan.parent, "master", bridge)

        def shown(pool: str) -> set[str]:
            found = HostInterfaces(IPv4Network(pool)).snapshot(include_virtual=True)
            return {one.name for one in found} & {bridge, lan.parent}

        assert shown("203.0.113.0/24") == {bridge, lan.parent}
        assert shown("198.51.100.0/24") == set()


def test_an_interface_comes_and_goes(bridge: str) -> None:
    interfaces = HostInterfaces(POOL)
    assert interfaces.exists(bridge)
    assert not interfaces.is_up(bridge)
    run("ip", "link", "set", bridge, "up")
    assert interfaces.is_up(bridge)
    run("ip", "link", "delete", bridge)
    assert not interfaces.exists(bridge)
    assert not interfaces.is_up(bridge)


@pytest.mark.parametrize("name", ["", "..", "../../etc", "a" * 400, "a\x00b", "lo/device"])
def test_no_name_escapes_the_folder_of_interfaces(name: str) -> None:
    interfaces = HostInterfaces(POOL)
    assert not interfaces.exists(name)
    assert not interfaces.is_up(name)


def test_missing_values_of_an_interface_are_empty() -> None:
    found = HostInterface(name="a", kind="physical", is_up=False)
    assert (found.ip_address, found.subnet, found.gateway, found.mac_address) == ("", "", "", "")


def _hexadecimal(address: str) -> str:
    """Format an address as the kernel does: its four bytes as a number in host byte order."""
    return f"{int.from_bytes(bytes(map(int, address.split('.'))), sys.byteorder):08X}"


def test_the_gateway_is_that_of_the_default_route_with_the_lowest_metric(tmp_path: Path) -> None:
    routes = [
        ("eth0", "0.0.0.0", "192.0.2.1", 3, 100, "0.0.0.0"),
        ("eth0", "0.0.0.0", "192.0.2.254", 3, 20, "0.0.0.0"),
        ("eth0", "192.0.2.0", "0.0.0.0", 1, 0, "255.255.255.0"),
        ("eth0", "10.0.0.0", "192.0.2.9", 3, 0, "255.0.0.0"),
        ("eth0", "0.0.0.0", "192.0.2.8", 3, 0, "128.0.0.0"),  # half of the address space, as VPNs do
        ("ppp0", "0.0.0.0", "0.0.0.0", 1, 0, "0.0.0.0"),  # a link without a gateway
        ("wlan0", "0.0.0.0", "198.51.100.1", 3, 600, "0.0.0.0"),
    ]
    lines = [
        f"{name}\t{_hexadecimal(to)}\t{_hexadecimal(by)}\t{flags:04X}\t0\t0\t{metric}\t{_hexadecimal(mask)}\t0\t0\t0\n"
        for name, to, by, flags, metric, mask in routes
    ]
    path = tmp_path / "route"
    path.write_text(NO_ROUTES + "".join(lines))
    assert default_gateways(path) == {"eth0": "192.0.2.254", "wlan0": "198.51.100.1"}


def link(name: str, kind: str, *used_by: str, gateway: str = "") -> HostInterface:
    return HostInterface(name, kind, is_up=True, ipv4_addresses=("192.0.2.7",), gateway=gateway, used_by=used_by)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ([link("br0", "bridge"), link("eth0", "physical", "br0")], ["br0", "eth0"]),
        ([link("bond0", "bond", "br0"), link("br0", "bridge"), link("eth0", "physical", "bond0")], None),
        ([link("br0", "bridge", gateway="192.0.2.1")], ["br0"]),
        ([link("eth0", "physical", "team0"), link("team0", "virtual")], ["eth0", "team0"]),
        ([link("docker0", "bridge"), link("eth0", "physical"), link("veth1", "virtual")], ["eth0"]),
        ([link("eth0", "physical"), link("virbr0", "bridge"), link("wg0", "virtual", gateway="192.0.2.1")], ["eth0"]),
    ],
    ids=["a port", "a bond as port", "the default route", "a team", "docker0", "hypervisor and VPN"],
)
def test_a_host_is_connected_by_its_parents_or_a_bridge_in_their_place(
    found: list[HostInterface], names: list[str] | None
) -> None:
    assert [each.name for each in interfaces.of_host(found)] == (names or [each.name for each in found])


def test_a_real_bridge_over_a_parent_connects_the_host(tmp_path: Path) -> None:
    made = Sysfs(tmp_path)
    made.add("br0", "bridge", devtype="bridge")
    made.add("eth0", "device", "upper_br0")
    made.add("docker0", "bridge", devtype="bridge")
    found = HostInterfaces(POOL, sys_class_net=made.root, routes=made.routes).snapshot(include_virtual=True)
    assert [each.name for each in interfaces.of_host(found)] == ["br0", "eth0"]
