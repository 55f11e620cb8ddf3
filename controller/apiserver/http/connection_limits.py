"""Who holds the connections of the API: how many one host may have, and who goes when there are too many. Pure.

A connection costs memory and a file descriptor from its first packet on, long before anyone has said who they are. So
those that have not shown it are few, and when one more comes, the oldest of the host that has most of them goes: a
client of good will has shown it within a moment.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Hashable, Set

CONNECTIONS = 400  # of the 1024 descriptors that a service usually gets
PER_HOST = 128
UNAUTHENTICATED = 96
NETWORK_BITS = 64  # of an IPv6 address: a host has all that begin with the same


class ConnectionLimits:
    """The connections from other hosts. Who is on the box itself is not counted: it lives from its own API."""

    def __init__(
        self, most: int = CONNECTIONS, per_host: int = PER_HOST, unauthenticated: int = UNAUTHENTICATED
    ) -> None:
        self._most = most
        self._per_host = per_host
        self._unauthenticated = unauthenticated
        self._hosts: dict[Hashable, str] = {}  # by connection, the oldest first
        self._authenticated: set[Hashable] = set()

    def has_room(self, host: str) -> bool:
        """Whether another connection from that address is taken."""
        if _is_loopback(host):
            return True
        hosts = Counter(self._hosts.values())
        return hosts.total() < self._most and hosts[_of(host)] < self._per_host

    def add(self, connection: Hashable, host: str) -> Hashable | None:
        """Count it; the connection that has to go for it, if any."""
        if _is_loopback(host):
            return None
        self._hosts[connection] = _of(host)
        unauthenticated = [one for one in self._hosts if one not in self._authenticated]
        if len(unauthenticated) <= self._unauthenticated:
            return None
        crowd = Counter(self._hosts[one] for one in unauthenticated).most_common(1)[0][0]
        gone = next(one for one in unauthenticated if self._hosts[one] == crowd)
        self.remove(gone)
        return gone

    def replace(self, connection: Hashable, by: Hashable) -> None:
        """The connection is known by another object from now on."""
        if (host := self._hosts.pop(connection, None)) is not None:
            self._hosts[by] = host

    def mark_authenticated(self, connection: Hashable) -> None:
        """It has shown whose it is, maybe before it is counted."""
        self._authenticated.add(connection)

    def remove(self, connection: Hashable) -> None:
        """It has ended."""
        self._hosts.pop(connection, None)
        self._authenticated.discard(connection)

    def retain(self, connections: Set[Hashable]) -> None:
        """Forget all others."""
        self._hosts = {one: host for one, host in self._hosts.items() if one in connections}
        self._authenticated &= connections


def _of(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    return host if address.version == 4 else str(ipaddress.ip_network((address.packed, NETWORK_BITS), strict=False))


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
