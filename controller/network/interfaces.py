"""The host's network interfaces as parents for runtimes: what they are, their addresses and gateways.

Reads /sys, /proc and getifaddrs(3); changes nothing. About 1 ms for ten interfaces, so a snapshot belongs in a
thread.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import NamedTuple

import psutil

# Of sysfs, DEVTYPE in uevent, as far as a kind is known by it; "bond" stands for the ports it is made of.
_KINDS = {"vlan": "vlan", "wlan": "wifi", "bond": "bond", "bridge": "bridge", "macvlan": "macvlan"}
_PARENT_KINDS = frozenset({"physical", "vlan", "wifi", "bond"})
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8  # linux/if.h
_RTF_UP, _RTF_GATEWAY = 0x1, 0x2  # linux/route.h


class LinkState(NamedTuple):
    """What decides whether an interface can be a parent now; ``number`` is the kernel's, 0 when there is none."""

    number: int
    up: bool
    carrier: bool


ABSENT = LinkState(0, up=False, carrier=False)


@dataclass(frozen=True)
class HostInterface:
    """One interface; what it does not have is empty.

    ``kind`` is physical, vlan, wifi, bond, bridge or virtual; ``subnet`` (CIDR) is the first address's, ``gateway``
    that of its default route with the lowest metric. ``carrier`` tells whether something is at the other end of the
    cable, ``speed`` is in Mbit/s. ``used_by`` are the host's own links that stand on it: VLANs, a bond or a bridge.
    """

    name: str
    kind: str
    is_up: bool
    mac_address: str = ""
    ipv4_addresses: tuple[str, ...] = ()
    subnet: str = ""
    gateway: str = ""
    carrier: bool = False
    speed: int | None = None
    used_by: tuple[str, ...] = ()

    @property
    def ip_address(self) -> str:
        """The first IPv4 address."""
        return self.ipv4_addresses[0] if self.ipv4_addresses else ""


class HostInterfaces:
    """The interfaces of the network namespace we run in, the host's.

    A bridge with an address of ``internal_pool`` is an internal network of ours, and is never shown.
    """

    def __init__(
        self,
        internal_pool: IPv4Network,
        *,
        sys_class_net: Path = Path("/sys/class/net"),
        routes: Path = Path("/proc/net/route"),
    ) -> None:
        self._internal_pool = internal_pool
        self._sys_class_net = sys_class_net
        self._routes = routes

    def snapshot(self, *, include_virtual: bool = False) -> tuple[HostInterface, ...]:
        """All interfaces that can be parents, by name; with ``include_virtual`` also bridges, veths and the like.

        Loopback, the controller's own bridges with their ports, and macvlan children are left out always.
        """
        addresses = _addresses()
        gateways = default_gateways(self._routes)
        own = {name for name, found in addresses.items() if self._is_own_bridge(name, found)}
        found = []
        for path in sorted(self._sys_class_net.iterdir()):
            if path.name in own or _master(path) in own:
                continue
            interface = _describe(path, addresses.get(path.name, []), gateways.get(path.name, ""))
            if interface and (include_virtual or may_be_parent(interface.kind)):
                found.append(interface)
        return tuple(found)

    def fingerprint(self) -> tuple[tuple[HostInterface, int], ...]:
        """All of ``include_virtual`` with the kernel's numbers: one that was taken out and put back has another."""
        return tuple((interface, index(interface.name)) for interface in self.snapshot(include_virtual=True))

    def exists(self, name: str) -> bool:
        """Whether there is an interface of this name, of any kind."""
        return index(name) > 0

    def is_up(self, name: str) -> bool:
        """Whether it exists and is administratively up (it may still have no carrier)."""
        return self.exists(name) and bool(_flags(self._sys_class_net / name) & _IFF_UP)

    def is_internal(self, name: str) -> bool:
        """Whether it is the bridge of an internal network."""
        return (self._sys_class_net / name / "bridge").is_dir() and self._is_own_bridge(
            name, _addresses().get(name, [])
        )

    def _is_own_bridge(self, name: str, addresses: list[IPv4Interface]) -> bool:
        if not (self._sys_class_net / name / "bridge").is_dir():
            return False
        return any(address.ip in self._internal_pool for address in addresses)


def index(name: str) -> int:
    """The kernel's number of a host interface, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: no name can have a null byte
        return 0


def state(name: str, sys_class_net: Path = Path("/sys/class/net")) -> LinkState:
    """How an interface stands now. Reads three small files."""
    path = sys_class_net / name
    return LinkState(index(name), bool(_flags(path) & _IFF_UP), _carrier(path))


def kind_of(name: str, sys_class_net: Path = Path("/sys/class/net")) -> str:
    """What kind of interface it is, see HostInterface; "" when there is none."""
    try:
        return _kind(sys_class_net / name)
    except OSError:
        return ""


def lower(name: str, sys_class_net: Path = Path("/sys/class/net")) -> list[str]:
    """What the interface stands on: a VLAN on its NIC."""
    return sorted(found.name.removeprefix("lower_") for found in (sys_class_net / name).glob("lower_*"))


def may_be_parent(kind: str) -> bool:
    """Whether it is shown to those who look for a parent."""
    return kind in _PARENT_KINDS


def of_host(found: Iterable[HostInterface]) -> list[HostInterface]:
    """Those by which the host itself is reached: what can be a parent, and a bridge or the like in the place of one.

    Such a bridge has a parent as its port, or the default route; those of engines and hypervisors have neither.
    """
    known = list(found)
    above = {upper for each in known if may_be_parent(each.kind) for upper in each.used_by}
    return [
        each
        for each in known
        if may_be_parent(each.kind) or each.name in above or (each.kind == "bridge" and each.gateway)
    ]


def default_gateways(routes: Path = Path("/proc/net/route")) -> dict[str, str]:
    """The gateway of each interface's default route; of several, the one with the lowest metric."""
    best: dict[str, tuple[int, str]] = {}
    for line in routes.read_text().splitlines()[1:]:
        name, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
        wanted = _RTF_UP | _RTF_GATEWAY
        if int(destination, 16) or int(mask, 16) or int(flags, 16) & wanted != wanted:
            continue
        best[name] = min(best.get(name, (1 << 32, "")), (int(metric), _address(gateway)))
    return {name: gateway for name, (_, gateway) in best.items()}


def _address(hexadecimal: str) -> str:
    """An address of /proc/net/route: the four bytes in memory, printed as a number of this machine."""
    value = int(hexadecimal, 16)
    return str(IPv4Address(socket.htonl(value)))


def _addresses() -> dict[str, list[IPv4Interface]]:
    found: dict[str, list[IPv4Interface]] = defaultdict(list)
    for label, addresses in psutil.net_if_addrs().items():
        name = label.partition(":")[0]  # an address may carry a label of its own: eth0:1
        found[name] += [
            IPv4Interface(f"{address.address}/{address.netmask or 32}")
            for address in addresses
            if address.family == socket.AF_INET
        ]
    return found


def _describe(path: Path, addresses: list[IPv4Interface], gateway: str) -> HostInterface | None:
    """The interface behind one directory of /sys/class/net; None for one never shown, or gone meanwhile."""
    try:
        flags = _flags(path)
        mac_address = (path / "address").read_text().strip()
        kind = _kind(path)
    except OSError:
        return None
    if flags & _IFF_LOOPBACK or kind == "macvlan":
        return None
    return HostInterface(
        name=path.name,
        kind=kind,
        is_up=bool(flags & _IFF_UP),
        mac_address=mac_address,
        ipv4_addresses=tuple(str(address.ip) for address in addresses),
        subnet=str(addresses[0].network) if addresses else "",
        gateway=gateway,
        carrier=_carrier(path),
        speed=_speed(path),
        used_by=tuple(sorted(upper.name.removeprefix("upper_") for upper in path.glob("upper_*"))),
    )


def _carrier(path: Path) -> bool:
    try:
        return (path / "carrier").read_text().strip() == "1"
    except OSError:  # EINVAL while it is down
        return False


def _speed(path: Path) -> int | None:
    """Mbit/s; None where the driver tells none, or -1 for an unknown one."""
    try:
        speed = int((path / "speed").read_text())
    except (OSError, ValueError):
        return None
    return speed if speed > 0 else None


def _kind(path: Path) -> str:
    uevent = dict(line.split("=", 1) for line in (path / "uevent").read_text().splitlines() if "=" in line)
    if kind := _KINDS.get(uevent.get("DEVTYPE", "")):
        return kind
    if (path / "wireless").exists() or (path / "phy80211").exists():
        return "wifi"
    if (path / "device").exists():
        return "physical"
    return "macvlan" if _is_child(path) else "virtual"


def _is_child(path: Path) -> bool:
    """Whether it stands on a lower interface and sends through it: macvlan and ipvlan, which sysfs does not name."""
    sends_itself = (path / "iflink").read_text() == (path / "ifindex").read_text()
    return any(path.glob("lower_*")) and not sends_itself


def _flags(path: Path) -> int:
    try:
        return int((path / "flags").read_text(), 16)
    except FileNotFoundError:  # gone since it was listed
        return 0


def _master(path: Path) -> str:
    """The bridge or bond that it is a port of, or ""."""
    try:
        return (path / "master").readlink().name
    except OSError:
        return ""
