"""The host's network interfaces as parents of runtimes: their kinds, addresses and gateways.

Reads /sys, /proc and getifaddrs(3); changes nothing. A snapshot of ten interfaces takes about 1 ms, so take it in a
thread.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import NamedTuple

import psutil

# DEVTYPE in sysfs' uevent, for the kinds that have one. A bond is listed in place of its ports.
_KINDS = {"vlan": "vlan", "wlan": "wifi", "bond": "bond", "bridge": "bridge", "macvlan": "macvlan"}
_PARENT_KINDS = frozenset({"physical", "vlan", "wifi", "bond"})
_FILE_BYTES = 4096  # sysfs(5): at most a page
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8  # linux/if.h
_RTF_UP, _RTF_GATEWAY = 0x1, 0x2  # linux/route.h


class LinkState(NamedTuple):
    """What decides whether an interface can be a parent now; ``number`` is the ifindex, 0 when it does not exist."""

    number: int
    up: bool
    carrier: bool


ABSENT = LinkState(0, up=False, carrier=False)


@dataclass(frozen=True)
class HostInterface:
    """One interface; missing values are empty.

    ``kind`` is physical, vlan, wifi, bond, bridge or virtual. ``subnet`` (CIDR) belongs to the first address,
    ``gateway`` to the default route with the lowest metric. ``carrier`` is the link state of the cable, ``speed`` is in
    Mbit/s. ``used_by`` lists the host's links on top of this interface: VLANs, a bond or a bridge.
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
    """The interfaces of the host, whose network namespace we run in.

    A bridge with an address in ``internal_pool`` is one of our internal networks and is never listed.
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
        """Return all possible parents, sorted by name; with ``include_virtual`` also bridges, veths and so on.

        Loopback, the controller's own bridges with their ports, and macvlan children are never included.
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

    def exists(self, name: str) -> bool:
        """Return whether an interface of this name exists, of any kind."""
        return index(name) > 0

    def is_up(self, name: str) -> bool:
        """Return whether it exists and is administratively up (it may still have no carrier)."""
        # exists() first: it accepts no slash, so a name from a spec cannot lead out of the folder.
        return self.exists(name) and bool(_flags(self._sys_class_net / name) & _IFF_UP)

    def is_internal(self, name: str) -> bool:
        """Return whether it is the bridge of an internal network."""
        return (self._sys_class_net / name / "bridge").is_dir() and self._is_own_bridge(
            name, _addresses().get(name, [])
        )

    def _is_own_bridge(self, name: str, addresses: list[IPv4Interface]) -> bool:
        if not (self._sys_class_net / name / "bridge").is_dir():
            return False
        return any(address.ip in self._internal_pool for address in addresses)


def index(name: str) -> int:
    """Return the ifindex of a host interface, 0 when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):  # ValueError: the name contains a null byte
        return 0


def names() -> list[str]:
    """Return the names of all interfaces of the host."""
    return [name for _, name in socket.if_nameindex()]


def state(name: str, sys_class_net: Path = Path("/sys/class/net")) -> LinkState:
    """Return an interface's current state. Reads three small files."""
    path = sys_class_net / name
    return LinkState(index(name), bool(_flags(path) & _IFF_UP), _carrier(path))


def kind_of(name: str, sys_class_net: Path = Path("/sys/class/net")) -> str:
    """Return the interface's kind (see HostInterface), "" when it does not exist."""
    try:
        return _kind(sys_class_net / name)
    except OSError:
        return ""


def lower(name: str, sys_class_net: Path = Path("/sys/class/net")) -> list[str]:
    """Return the names of the interfaces below, for example the NIC of a VLAN."""
    return _neighbours(sys_class_net / name, "lower_")


def may_be_parent(kind: str) -> bool:
    """Return whether an interface of this kind is offered as a parent."""
    return kind in _PARENT_KINDS


def of_host(found: Iterable[HostInterface]) -> list[HostInterface]:
    """Return the interfaces that connect the host itself: possible parents, and bridges that take a parent's place.

    Such a bridge has a parent as its port, or the default route; bridges of engines and hypervisors have neither.
    """
    known = list(found)
    above = {upper for each in known if may_be_parent(each.kind) for upper in each.used_by}
    return [
        each
        for each in known
        if may_be_parent(each.kind) or each.name in above or (each.kind == "bridge" and each.gateway)
    ]


def default_gateways(routes: Path = Path("/proc/net/route")) -> dict[str, str]:
    """Return the gateway of each interface's default route; of several, the one with the lowest metric."""
    best: dict[str, tuple[int, str]] = {}
    for line in routes.read_text().splitlines()[1:]:
        name, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
        # A default route over a point-to-point link has no gateway that a runtime could use.
        wanted = _RTF_UP | _RTF_GATEWAY
        if int(destination, 16) or int(mask, 16) or int(flags, 16) & wanted != wanted:
            continue
        best[name] = min(best.get(name, (1 << 32, "")), (int(metric), _address(gateway)))
    return {name: gateway for name, (_, gateway) in best.items()}


def _address(hexadecimal: str) -> str:
    """Parse an address of /proc/net/route: the four bytes in memory, printed as a number in host byte order."""
    value = int(hexadecimal, 16)
    return str(IPv4Address(socket.htonl(value)))


def _addresses() -> dict[str, list[IPv4Interface]]:
    found: dict[str, list[IPv4Interface]] = defaultdict(list)
    for label, addresses in psutil.net_if_addrs().items():
        name = label.partition(":")[0]  # an address may have its own label: eth0:1
        found[name] += [
            IPv4Interface(f"{address.address}/{address.netmask or 32}")
            for address in addresses
            if address.family == socket.AF_INET
        ]
    return found


def _describe(path: Path, addresses: list[IPv4Interface], gateway: str) -> HostInterface | None:
    """Describe the interface of one directory of /sys/class/net; None if it is never listed or gone by now."""
    try:
        flags = _flags(path)
        mac_address = _text(path / "address").strip()
        kind = _kind(path)
    except OSError:
        # Gone, or no interface at all: the bonding driver puts the file bonding_masters there.
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
        used_by=tuple(_neighbours(path, "upper_")),
    )


def _carrier(path: Path) -> bool:
    try:
        return _text(path / "carrier").strip() == "1"
    except OSError:  # EINVAL while it is down
        return False


def _speed(path: Path) -> int | None:
    """Return Mbit/s; None when the driver reports none, or -1 for unknown."""
    try:
        speed = int(_text(path / "speed"))
    except (OSError, ValueError):
        return None
    return speed if speed > 0 else None


def _kind(path: Path) -> str:
    uevent = dict(line.split("=", 1) for line in _text(path / "uevent").splitlines() if "=" in line)
    if kind := _KINDS.get(uevent.get("DEVTYPE", "")):
        return kind
    # Before the check for a device, which a Wi-Fi NIC has as well.
    if (path / "wireless").exists() or (path / "phy80211").exists():
        return "wifi"
    if (path / "device").exists():
        return "physical"
    return "macvlan" if _is_child(path) else "virtual"


def _is_child(path: Path) -> bool:
    """Return whether it sends through a lower interface: macvlan and ipvlan, for which sysfs has no kind."""
    sends_itself = _text(path / "iflink") == _text(path / "ifindex")
    return bool(not sends_itself and _neighbours(path, "lower_"))


def _flags(path: Path) -> int:
    try:
        return int(_text(path / "flags"), 16)
    except FileNotFoundError:  # gone since it was listed
        return 0


def _neighbours(path: Path, prefix: str) -> list[str]:
    """Return the names of the interfaces above or below, which sysfs lists with this prefix; none when it is gone."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name.removeprefix(prefix) for entry in entries if entry.name.startswith(prefix))
    except OSError:
        return []


def _text(path: Path) -> str:
    """Return a file of sysfs; without the buffers of open(), which take most of the time. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _FILE_BYTES).decode()
    finally:
        os.close(descriptor)


def _master(path: Path) -> str:
    """Return the bridge or bond that this interface is a port of, or ""."""
    try:
        return (path / "master").readlink().name
    except OSError:
        return ""
