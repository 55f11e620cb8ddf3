"""The links, addresses and routes of a network namespace at one moment."""

from __future__ import annotations

import socket
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from controller.network import netlink_attributes, rtnetlink
from controller.network import rtnetlink_types as types
from controller.network.netlink_attributes import Attributes
from controller.network.routes import LinkRoute, Route
from controller.network.rtnetlink import Entry


@dataclass(frozen=True)
class Link:
    """One link; ``kind`` is the kernel's term (macvlan, veth, ...), ``parent_index`` the parent's ifindex or 0."""

    name: str
    mac_address: str
    kind: str
    up: bool
    addresses: tuple[IPv4Interface, ...] = ()
    parent_index: int = 0
    alternative_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The observed state of a namespace.

    ``default_routes`` are pairs of gateway and link, and ``routes`` are those that leases brought.
    """

    links: tuple[Link, ...] = ()
    default_routes: tuple[tuple[str, str], ...] = ()
    routes: tuple[LinkRoute, ...] = ()

    def by_mac(self, mac_address: str) -> Link | None:
        """Return the macvlan link with this MAC address, or None. The engine's internal link may have the same one."""
        wanted = mac_address.lower()
        return next((link for link in self.links if link.kind == "macvlan" and link.mac_address == wanted), None)


def take() -> Snapshot:
    """Return the links except lo, and the routes, of this thread's network namespace. Raises OSError."""
    with rtnetlink.connect() as kernel:
        links = dict(map(_link, rtnetlink.table(kernel, types.GET_LINK, types.LINK_HEADER)))
        found = rtnetlink.table(kernel, types.GET_ADDRESS, types.ADDRESS_HEADER, socket.AF_INET)
        routes = rtnetlink.table(kernel, types.GET_ROUTE, types.ROUTE_HEADER, socket.AF_INET)
    addresses: defaultdict[int, list[IPv4Interface]] = defaultdict(list)
    for (_, prefix_length, _, _, index), attributes in found:
        if local := attributes.get(types.ADDRESS_LOCAL):
            addresses[index].append(IPv4Interface((IPv4Address(local), prefix_length)))
    complete = (replace(link, addresses=tuple(addresses[index])) for index, link in links.items() if link.name != "lo")
    over = [
        (links[index].name, route)
        for route in routes
        if (index := _number(route.attributes, types.ROUTE_LINK)) in links
    ]
    return Snapshot(
        tuple(complete),
        tuple((_gateway(route), link) for link, route in over if _is_default(route)),
        tuple(LinkRoute(_leased(route), link) for link, route in over if _is_leased(route)),
    )


def _link(entry: Entry) -> tuple[int, Link]:
    """Return a link's index, and the link without its addresses."""
    _, _, index, flags, _ = entry.fields
    found = entry.attributes
    properties = netlink_attributes.attribute_list(found.get(types.LINK_PROPERTIES, b""))
    # Without the id of its namespace, the lower link is one of this namespace: its index says nothing about the host.
    lower = _number(found, types.LINK_LOWER) if types.LINK_LOWER_NAMESPACE in found else 0
    return index, Link(
        name=_text(found[types.LINK_NAME]),
        mac_address=found.get(types.LINK_MAC, b"").hex(":"),
        kind=_text(netlink_attributes.attributes(found.get(types.LINK_INFO, b"")).get(types.INFO_KIND, b"")),
        up=bool(flags & types.LINK_UP),
        parent_index=lower,
        alternative_names=tuple(_text(value) for kind, value in properties if kind == types.PROPERTY_ALTNAME),
    )


def _is_default(route: Entry) -> bool:
    """Return whether the route is a default one of the main table."""
    _, destination_length, _, _, table, *_ = route.fields
    return destination_length == 0 and table == types.MAIN_TABLE


def _is_leased(route: Entry) -> bool:
    """Return whether the route is one of the main table that a lease brought."""
    _, destination_length, _, _, table, protocol, *_ = route.fields
    return (table, protocol) == (types.MAIN_TABLE, types.ROUTE_BY_DHCP) and destination_length > 0


def _leased(route: Entry) -> Route:
    destination = IPv4Network((route.attributes[types.ROUTE_DESTINATION], route.fields[1]))
    gateway = _gateway(route)
    return Route(destination, IPv4Address(gateway) if gateway else None)


def _gateway(route: Entry) -> str:
    gateway = route.attributes.get(types.ROUTE_GATEWAY)
    return str(IPv4Address(gateway)) if gateway else ""


def _number(attributes: Attributes, kind: int) -> int:
    return int.from_bytes(attributes.get(kind, b""), sys.byteorder)


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
