"""Changes of addresses and default routes as requests to the kernel (rtnetlink(7)); see link_changes.py."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from controller.network import rtnetlink_types as types
from controller.network.link_changes import Change
from controller.network.netlink_attributes import attribute
from controller.network.routes import Route
from controller.network.rtnetlink import Message

_POINT_TO_POINT = 31  # from this prefix length on, a network has no broadcast address (RFC 3021)
_ON_LINK = {False: "", True: " onlink"}


@dataclass(frozen=True)
class SetAddress(Change):
    """Add the address to the link, if it is not there, with the broadcast address of its network."""

    address: IPv4Interface

    def __str__(self) -> str:
        return f"address replace {self.address} broadcast + dev {self.link}"

    def request(self, number: int) -> Message:
        broadcast = b""
        if self.address.network.prefixlen < _POINT_TO_POINT:
            broadcast = attribute(types.ADDRESS_BROADCAST, self.address.network.broadcast_address.packed)
        return Message(types.NEW_ADDRESS, types.CREATE | types.REPLACE, _address(number, self.address) + broadcast)


@dataclass(frozen=True)
class RestoreAddress(Change):
    """Add the address to the link, if it is not there, with the broadcast address that it had; None for none."""

    address: IPv4Interface | IPv6Interface
    broadcast: IPv4Address | None

    def __str__(self) -> str:
        detail = f" broadcast {self.broadcast}" if self.broadcast else ""
        return f"address replace {self.address}{detail} dev {self.link}"

    def request(self, number: int) -> Message:
        broadcast = attribute(types.ADDRESS_BROADCAST, self.broadcast.packed) if self.broadcast else b""
        return Message(types.NEW_ADDRESS, types.CREATE | types.REPLACE, _address(number, self.address) + broadcast)


@dataclass(frozen=True)
class DeleteAddress(Change):
    """Take the address from the link."""

    address: IPv4Interface

    def __str__(self) -> str:
        return f"address delete {self.address} dev {self.link}"

    def request(self, number: int) -> Message:
        return Message(types.DELETE_ADDRESS, 0, _address(number, self.address))


@dataclass(frozen=True)
class SetDefaultRoute(Change):
    """Make this gateway on the link the default route; ``on_link``: it is outside the subnet."""

    gateway: str
    on_link: bool = False

    def __str__(self) -> str:
        return f"route replace default via {self.gateway} dev {self.link}{_ON_LINK[self.on_link]}"

    def request(self, number: int) -> Message:
        header = _route(types.ROUTE_BY_BOOT, types.EVERYWHERE, types.ROUTE_UNICAST, on_link=self.on_link)
        return Message(types.NEW_ROUTE, types.CREATE | types.REPLACE, header + _hop(number, self.gateway))


@dataclass(frozen=True)
class DeleteDefaultRoute(Change):
    """Delete the default route over the gateway, or over the link itself for ""."""

    gateway: str

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"route delete default{via} dev {self.link}"

    def request(self, number: int) -> Message:
        return Message(types.DELETE_ROUTE, 0, _route(0, types.NOWHERE, 0) + _hop(number, self.gateway))


@dataclass(frozen=True)
class SetRoute(Change):
    """Set a route of a lease over the link; ``on_link``: its gateway is outside the subnet."""

    route: Route
    on_link: bool = False

    def __str__(self) -> str:
        return f"route replace {_text(self.route)} dev {self.link} proto dhcp{_ON_LINK[self.on_link]}"

    def request(self, number: int) -> Message:
        scope, length = types.EVERYWHERE if self.route.gateway else types.ON_LINK, self.route.destination.prefixlen
        header = _route(types.ROUTE_BY_DHCP, scope, types.ROUTE_UNICAST, length, on_link=self.on_link)
        return Message(types.NEW_ROUTE, types.CREATE | types.REPLACE, header + _to(number, self.route))


@dataclass(frozen=True)
class DeleteRoute(Change):
    """Delete a route of a lease."""

    route: Route

    def __str__(self) -> str:
        return f"route delete {_text(self.route)} dev {self.link} proto dhcp"

    def request(self, number: int) -> Message:
        header = _route(types.ROUTE_BY_DHCP, types.NOWHERE, 0, self.route.destination.prefixlen)
        return Message(types.DELETE_ROUTE, 0, header + _to(number, self.route))


def _address(number: int, address: IPv4Interface | IPv6Interface) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    header = types.ADDRESS_HEADER.pack(family, address.network.prefixlen, 0, 0, number)
    local = (attribute(kind, address.packed) for kind in (types.ADDRESS_LOCAL, types.ADDRESS_PREFIX))
    return header + b"".join(local)


def _route(protocol: int, scope: int, kind: int, length: int = 0, *, on_link: bool = False) -> bytes:
    flags = types.ROUTE_ON_LINK if on_link else 0
    return types.ROUTE_HEADER.pack(socket.AF_INET, length, 0, 0, types.MAIN_TABLE, protocol, scope, kind, flags)


def _to(number: int, route: Route) -> bytes:
    destination = attribute(types.ROUTE_DESTINATION, route.destination.network_address.packed)
    return destination + _hop(number, str(route.gateway or ""))


def _text(route: Route) -> str:
    return f"{route.destination} via {route.gateway}" if route.gateway else str(route.destination)


def _hop(number: int, gateway: str) -> bytes:
    over = attribute(types.ROUTE_GATEWAY, IPv4Address(gateway).packed) if gateway else b""
    return over + attribute(types.ROUTE_LINK, number.to_bytes(4, sys.byteorder))
