"""Limits on the connections to a server: how many per host and user, and which one to close for a new one. Pure.

A connection costs memory and a file descriptor from its first packet on, long before the client authenticates. So the
number of unauthenticated connections is small, and when one more arrives, the oldest one of the host that has most of
them is closed: a well-behaved client authenticates within moments. Of too many authenticated connections, the oldest
one of the user who has most of them is closed, so that no user locks out another.

Connections of this host are counted apart: those of other hosts cannot take their places.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Mapping, Set
from typing import NamedTuple

PER_HOST = 128
NETWORK_BITS = 64  # an IPv6 host usually owns all addresses of its /64
THIS_HOST = "this host"


class Bounds(NamedTuple):
    """How many connections stay open."""

    unauthenticated: int
    authenticated: int


OTHERS = Bounds(unauthenticated=96, authenticated=304)
# A user may have 384 requests and watches in progress (apiserver/http/limits.py), and clients open them all at once.
LOCAL = Bounds(unauthenticated=384, authenticated=512)


class ConnectionLimits:
    """Counts connections. ``others`` and ``per_host`` apply to other hosts, ``local`` to this one."""

    def __init__(self, others: Bounds = OTHERS, local: Bounds = LOCAL, per_host: int = PER_HOST) -> None:
        self._others = others
        self._local = local
        self._per_host = per_host
        self._hosts: dict[Hashable, str] = {}  # by connection, the oldest first
        self._users: dict[Hashable, str] = {}  # of the authenticated connections, some of which may not be counted

    def has_room(self, host: str) -> bool:
        """Whether another connection from that address is accepted; one of this host always is."""
        origin = _origin(host)
        return origin == THIS_HOST or Counter(self._hosts.values())[origin] < self._per_host

    def add(self, connection: Hashable, host: str) -> list[Hashable]:
        """Count a connection. Returns those to close in return."""
        self._hosts[connection] = origin = _origin(host)
        is_local = origin == THIS_HOST
        bounds = self._local if is_local else self._others
        peers = {each: host for each, host in self._hosts.items() if (host == THIS_HOST) is is_local}
        strangers = {each: host for each, host in peers.items() if each not in self._users}
        known = {each: self._users[each] for each in peers if each in self._users}
        evicted = _surplus(strangers, bounds.unauthenticated) + _surplus(known, bounds.authenticated)
        for each in evicted:
            self.remove(each)
        return evicted

    def replace(self, connection: Hashable, by: Hashable) -> None:
        """Track the connection under another object from now on."""
        if (host := self._hosts.pop(connection, None)) is not None:
            self._hosts[by] = host

    def mark_authenticated(self, connection: Hashable, user: str) -> None:
        """The connection has authenticated, possibly before it is counted."""
        # A request may be handled before the callback of its connection's handshake runs.
        self._users[connection] = user

    def remove(self, connection: Hashable) -> None:
        """The connection has ended."""
        self._hosts.pop(connection, None)
        self._users.pop(connection, None)

    def retain(self, connections: Set[Hashable]) -> None:
        """Forget all other connections."""
        self._hosts = {each: host for each, host in self._hosts.items() if each in connections}
        self._users = {each: user for each, user in self._users.items() if each in connections}


def _surplus(clients: Mapping[Hashable, str], limit: int) -> list[Hashable]:
    """Of more connections than the limit, the oldest one of the client that has most of them."""
    # One at a time suffices: each arrival adds one.
    if len(clients) <= limit:
        return []
    busiest = Counter(clients.values()).most_common(1)[0][0]
    return [next(each for each, client in clients.items() if client == busiest)]


def _origin(host: str) -> str:
    """What counts as one host: an address, a network of IPv6, or this host."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_loopback:
        return THIS_HOST
    return host if address.version == 4 else str(ipaddress.ip_network((address.packed, NETWORK_BITS), strict=False))
