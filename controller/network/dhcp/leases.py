"""DHCP leases: in memory with times of a clock that never jumps, on disk with the time of day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from controller.network.dhcp import classless_routes, messages
from controller.network.dhcp.messages import Message
from controller.network.routes import Route

INFINITE = float("inf")
_INFINITE = 0xFFFFFFFF
_UNTOLD = 3600  # seconds of a lease without a time, or with the time 0, as some routers give
_SHORTEST, _SOONEST = 10.0, 5.0  # minimum seconds of a lease, and until its renewal, to bound the rate of requests
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
NAME_SERVERS_KEPT, ROUTES_KEPT = 3, 32
_TIMES = ("renewed", "duration", "renew_after", "rebind_after")  # what a renewal changes


@dataclass(frozen=True)
class Lease:
    """A leased address. ``obtained`` and ``renewed`` are seconds of the caller's clock.

    ``renew_after`` (T1), ``rebind_after`` (T2) and ``duration`` are seconds after ``renewed``. Renewals are sent to
    ``server_mac``, which is empty when unknown.
    """

    address: IPv4Interface
    server: IPv4Address
    obtained: float
    renewed: float
    duration: float
    renew_after: float
    rebind_after: float
    gateway: IPv4Address | None = None
    name_servers: tuple[IPv4Address, ...] = ()
    server_mac: bytes = b""
    routes: tuple[Route, ...] = ()  # besides the default one

    @property
    def expires(self) -> float:
        """Return the end of the lease."""
        return self.renewed + self.duration

    def renews(self, before: Lease | None) -> bool:
        """Return whether this is ``before`` with other times; some servers vary T1 and T2 at random."""
        return before is not None and replace(self, **{name: getattr(before, name) for name in _TIMES}) == before

    def shifted(self, seconds: float) -> Lease:
        """Return the lease in another clock."""
        return replace(self, obtained=self.obtained + seconds, renewed=self.renewed + seconds)


def is_host(address: IPv4Address) -> bool:
    """Return whether the address can belong to a host on a LAN (RFC 6890)."""
    return not (address in _THIS_NETWORK or address.is_loopback or address.is_multicast or address.is_reserved)


def from_acknowledgement(message: Message, now: float, server_mac: bytes, before: Lease | None) -> Lease | None:
    """Return the lease in a DHCPACK, None when a mandatory value is missing (RFC 2131 table 3).

    Leaves out gateways that the kernel refuses. Classless routes replace the router (RFC 3442).
    """
    seconds, server = message.number(messages.LEASE_SECONDS) or _UNTOLD, message.server
    if server is None or not is_host(message.your_address):
        return None
    duration = INFINITE if seconds == _INFINITE else max(float(seconds), _SHORTEST)
    rebind = _within(message.number(messages.REBINDING_SECONDS), duration, 0.875)
    address = IPv4Interface((message.your_address, _prefix(message)))
    same = before is not None and before.address == address
    routes = classless_routes.decode(message.options.get(messages.CLASSLESS_ROUTES, b""))
    usable = tuple(route for route in routes if route.gateway is None or _is_gateway(route.gateway, address))
    routers = [each.gateway for each in usable if classless_routes.is_default(each) and each.gateway]
    return Lease(
        address=address,
        server=server,
        obtained=before.obtained if before is not None and same else now,
        renewed=now,
        duration=duration,
        # 4/7 of T2, by default 7/8 of the lease, is half of the lease.
        renew_after=_within(message.number(messages.RENEWAL_SECONDS), rebind, 4 / 7),
        rebind_after=rebind,
        gateway=_gateway(routers if routes else message.addresses(messages.ROUTER), address),
        name_servers=tuple(filter(is_host, message.addresses(messages.NAME_SERVERS)))[:NAME_SERVERS_KEPT],
        server_mac=server_mac,
        routes=tuple(filter(classless_routes.is_routed, usable))[:ROUTES_KEPT],
    )


def _within(seconds: int | None, limit: float, share: float) -> float:
    """Return the server's value if it is plausible, else the RFC's share of the lease (section 4.4.5)."""
    return float(seconds) if seconds and _SOONEST <= seconds < limit else limit * share


def _gateway(routers: Iterable[IPv4Address], address: IPv4Interface) -> IPv4Address | None:
    """Return the first usable router, preferably in the subnet; in a subnet of one address there is none."""
    usable = [router for router in routers if _is_gateway(router, address)]
    return next((router for router in usable if router in address.network), usable[0] if usable else None)


def _is_gateway(router: IPv4Address, address: IPv4Interface) -> bool:
    """Return whether the kernel accepts it: no address of ours, and none that belongs to all hosts of the subnet."""
    network = address.network
    ends = {network.network_address, network.broadcast_address} if network.num_addresses > 2 else set()
    return router != address.ip and is_host(router) and router not in ends


def _prefix(message: Message) -> int:
    """Return the prefix length of the subnet mask or, without a usable mask, of the address class."""
    masks = message.addresses(messages.SUBNET_MASK)
    if masks:
        bits = f"{int(masks[0]):032b}"
        # A mask with a one after a zero corresponds to no prefix length, and 0.0.0.0 would make every host a neighbour.
        if "01" not in bits and "1" in bits:
            return bits.count("1")
    first = message.your_address.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24


def to_document(lease: Lease) -> dict[str, Any]:
    """Return the lease as JSON; the times must be seconds since 1970."""
    return {
        "address": str(lease.address),
        "server": str(lease.server),
        "obtained": lease.obtained,
        "renewed": lease.renewed,
        # JSON has no number for infinity.
        "duration": None if lease.duration == INFINITE else lease.duration,
        "renewAfter": None if lease.duration == INFINITE else lease.renew_after,
        "rebindAfter": None if lease.duration == INFINITE else lease.rebind_after,
        "gateway": str(lease.gateway) if lease.gateway else None,
        "nameServers": [str(server) for server in lease.name_servers],
        "serverMac": lease.server_mac.hex(),
        "routes": [[str(route.destination), str(route.gateway or "")] for route in lease.routes],
    }


def from_document(document: dict[str, Any]) -> Lease:
    """Parse a document of ``to_document``. Raises KeyError, TypeError or ValueError."""
    duration, renew, rebind = (
        INFINITE if document[name] is None else float(document[name])
        for name in ("duration", "renewAfter", "rebindAfter")
    )
    return Lease(
        address=IPv4Interface(document["address"]),
        server=IPv4Address(document["server"]),
        obtained=float(document["obtained"]),
        renewed=float(document["renewed"]),
        duration=duration,
        renew_after=renew,
        rebind_after=rebind,
        gateway=IPv4Address(document["gateway"]) if document["gateway"] else None,
        name_servers=tuple(IPv4Address(server) for server in document["nameServers"])[:NAME_SERVERS_KEPT],
        server_mac=bytes.fromhex(document["serverMac"]),
        # Release 0.1 stored none.
        routes=tuple(_route(*each) for each in document.get("routes", ()))[:ROUTES_KEPT],
    )


def _route(destination: str, gateway: str) -> Route:
    return Route(IPv4Network(destination), IPv4Address(gateway) if gateway else None)
