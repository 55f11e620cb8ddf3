"""Routes over a link: of a lease, of a snapshot and of a plan."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple


class Route(NamedTuple):
    """A destination and the gateway to it; None when its hosts are reached directly."""

    destination: IPv4Network
    gateway: IPv4Address | None = None


class LinkRoute(NamedTuple):
    """A route over the link with this name."""

    route: Route
    link: str
