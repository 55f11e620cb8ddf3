"""Addresses we assign: MAC addresses of runtimes and subnets of internal networks.

Pure apart from reading the host's routes; knows neither Docker nor the cloud.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

# A small subnet of our own choice for each runtime: Docker's default pools ran out after 31 networks.
INTERNAL_PREFIX = 28


def derived_mac(*identity: str) -> str:
    """Return the stable MAC address of an identity (install id, namespace, device id, interface name).

    ``02`` marks it as locally administered and unicast (IEEE 802, section 8.4.2); 40 bits come from the hash.
    """
    # A separator that no part can contain: ("a", "bc") and ("ab", "c") are different runtimes.
    digest = hashlib.sha256("\0".join(identity).encode()).digest()
    # Never change this formula: every runtime would get another MAC address, and with it another lease.
    return ":".join(f"{byte:02x}" for byte in b"\x02" + digest[:5])


def mac_bytes(mac_address: str) -> bytes:
    """Return the six bytes of a MAC address such as ``02:00:5e:00:53:01``, as packets carry them."""
    return bytes.fromhex(mac_address.replace(":", ""))


def free_subnets(
    pool: IPv4Network, taken: Iterable[IPv4Network], prefix: int = INTERNAL_PREFIX
) -> Iterator[IPv4Network]:
    """Yield the subnets of ``pool`` with this prefix length that overlap no taken network, lowest first."""
    if prefix < pool.prefixlen:
        return
    size, free = 1 << (32 - prefix), int(pool.network_address)
    # Once through them in order: to compare each candidate with each network takes a third of a second for a thousand.
    for network in sorted(network for network in taken if network.overlaps(pool)):
        yield from _subnets(free, int(network.network_address), prefix)
        free = max(free, (int(network.broadcast_address) // size + 1) * size)
    yield from _subnets(free, int(pool.broadcast_address) + 1, prefix)


def _subnets(first: int, end: int, prefix: int) -> Iterator[IPv4Network]:
    """Yield the subnets from the address ``first`` that end before ``end``."""
    size = 1 << (32 - prefix)
    return (IPv4Network((address, prefix)) for address in range(first, end - size + 1, size))


def host_routes(table: Path = Path("/proc/net/route")) -> list[IPv4Network]:
    """Return the destinations of the host's IPv4 routes except the default route (proc_net(5): little-endian hex)."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    routes = [IPv4Network((_address(row[1]), str(_address(row[7]))), strict=False) for row in rows if len(row) > 7]
    # The default route overlaps every subnet and would leave none free.
    return [route for route in routes if route.prefixlen > 0]


def spare_address(subnet: IPv4Network, *used: str | None) -> str:
    """Return the highest host address of the subnet that is not in ``used``."""
    candidate = subnet.broadcast_address - 1
    while str(candidate) in used:
        candidate -= 1
    return str(candidate)


def _address(hexadecimal: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(hexadecimal)[::-1])
