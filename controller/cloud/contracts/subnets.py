"""Parses subnets as the cloud sends them: in CIDR form, or as a netmask for an address. Pure."""

from __future__ import annotations

import ipaddress

SHORTEST_PREFIX, LONGEST_PREFIX = 8, 30


def network_of(subnet: str, address: str | None) -> ipaddress.IPv4Network | None:
    """The network of ``192.168.1.0/24``, ``192.168.1.50/24``, or ``255.255.255.0`` with ``address``.

    None for a netmask without an address. Raises ValueError with a sentence about the field.
    """
    network = _in_cidr_form(subnet) if "/" in subnet else _of_netmask(subnet, address)
    if network and not SHORTEST_PREFIX <= network.prefixlen <= LONGEST_PREFIX:
        raise ValueError(f"must have a prefix from /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}")
    return network


def host_fault(address: str, network: ipaddress.IPv4Network) -> str:
    """Why ``address`` cannot be a host in ``network``, as a sentence about the subnet, or ""."""
    host = ipaddress.IPv4Address(address)
    if host not in network:
        return f"must contain the address {address}"
    if host in (network.network_address, network.broadcast_address):
        return f"must not have {address} as its network or broadcast address"
    return ""


def _in_cidr_form(subnet: str) -> ipaddress.IPv4Network:
    address, _, prefix = subnet.partition("/")
    if not prefix.isdecimal():
        raise ValueError("must be a subnet such as 192.168.1.0/24, or a netmask such as 255.255.255.0")
    return _parsed(f"{address}/{prefix}")


def _of_netmask(netmask: str, address: str | None) -> ipaddress.IPv4Network | None:
    mask = _parsed(f"0.0.0.0/{netmask}").netmask
    if str(mask) != netmask:  # the library also accepts the inverse, a wildcard mask
        raise ValueError("must be a netmask such as 255.255.255.0")
    return _parsed(f"{address}/{netmask}") if address else None


def _parsed(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be a subnet such as 192.168.1.0/24, or a netmask such as 255.255.255.0") from None
