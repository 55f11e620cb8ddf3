"""Decodes classless static routes (RFC 3442): width, significant bytes of the destination, router. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from controller.network.routes import Route

_ANYWHERE = IPv4Network("0.0.0.0/0")
# Destinations that never leave a host, or are no hosts (RFC 6890).
_UNROUTED = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))


def decode(value: bytes) -> tuple[Route, ...]:
    """Return the routes in order, none when the option is missing or malformed."""
    try:
        return tuple(_routes(value))
    except ValueError:
        return ()


def is_default(route: Route) -> bool:
    """Return whether it leads everywhere."""
    return route.destination == _ANYWHERE


def is_routed(route: Route) -> bool:
    """Return whether it leads to some destination whose packets may leave a host."""
    return not is_default(route) and not any(route.destination.subnet_of(network) for network in _UNROUTED)


def _routes(value: bytes) -> Iterator[Route]:
    """Yield each route. Raises ValueError."""
    at = 0
    while at < len(value):
        width = value[at]
        router = at + 1 + (width + 7) // 8
        # An address of fewer than four bytes is a ValueError, too.
        gateway = IPv4Address(value[router : router + 4])
        # Bits beyond the width do not count (RFC 3442, "DHCP Client Behavior").
        destination = IPv4Network((value[at + 1 : router].ljust(4, b"\0"), width), strict=False)
        yield Route(destination, None if gateway.is_unspecified else gateway)
        at = router + 4
