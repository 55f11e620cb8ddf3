"""Limits on the connections to a server: how many per host, and which one to close when there are too many. Pure.

A connection costs memory and a file descriptor from its first packet on, long before the client authenticates. So the
number of unauthenticated connections is small, and when one more arrives, the oldest one of the host that has most of
them is closed: a well-behaved client authenticates within moments.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Set

CONNECTIONS = 400  # of the 1024 file descriptors that a service usually gets
PER_HOST = 128
UNAUTHENTICATED = 96
NETWORK_BITS = 64  # an IPv6 host usually owns all addresses of its /64


class ConnectionLimits:
    """Counts connections from other hosts. Loopback connections are not counted: the host depends on its own API."""

    def __init__(
        self, total: int = CONNECTIONS, per_host: int = PER_HOST, unauthenticated: int = UNAUTHENTICATED
    ) -> None:
        self._total = total
        self._per_host = per_host
        self._unauthenticated = unauthenticated
        self._hosts: dict[Hashable, str] = {}  # by connection, the oldest first
        self._authenticated: set[Hashable] = set()

    def has_room(self, host: str) -> bool:
        """Whether another connection from that address is accepted."""
        if _is_loopback(host):
            return True
        hosts = Counter(self._hosts.values())
        return hosts.total() < self._total and hosts[_of(host)] < self._per_host

    def add(self, connection: Hashable, host: str) -> Hashable | None:
        """Count a connection. Returns the connection to close in return, if any."""
        if _is_loopback(host):
            return None
        self._hosts[connection] = _of(host)
        unauthenticated = [each for each in self._hosts if each not in self._authenticated]
        if len(unauthenticated) <= self._unauthenticated:
            return None
        busiest = Counter(self._hosts[each] for each in unauthenticated).most_common(1)[0][0]
        evicted = next(each for each in unauthenticated if self._hosts[each] == busiest)
        self.remove(evicted)
        return evicted

    def replace(self, connection: Hashable, by: Hashable) -> None:
        """Track the connection under another object from now on."""
        if (host := self._hosts.pop(connection, None)) is not None:
            self._hosts[by] = host

    def mark_authenticated(self, connection: Hashable) -> None:
        """The connection has authenticated, possibly before it is counted."""
        # A request may be handled before the callback of its connection's handshake runs.
        self._authenticated.add(connection)

    def remove(self, connection: Hashable) -> None:
        """The connection has ended."""
        self._hosts.pop(connection, None)
        self._authenticated.discard(connection)

    def retain(self, connections: Set[Hashable]) -> None:
        """Forget all other connections."""
        self._hosts = {each: host for each, host in self._hosts.items() if each in connections}
        self._authenticated &= connections


def _of(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    return host if address.version == 4 else str(ipaddress.ip_network((address.packed, NETWORK_BITS), strict=False))


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
