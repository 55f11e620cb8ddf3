"""Assigned addresses are stable and do not overlap."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network import addresses

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br0\t1000D50A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
"""


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_a_derived_mac_is_local_unicast_and_stable(identity: list[str]) -> None:
    mac = addresses.derived_mac(*identity)

    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac)
    assert mac == addresses.derived_mac(*identity)


def test_the_formula_of_a_mac_never_changes() -> None:
    # Plants have these addresses in DHCP reservations and firewalls: a new version must derive the same.
    assert addresses.derived_mac("install", "edge", "plc1", "lan0") == "02:ff:0b:65:d6:5e"


def test_similar_identities_have_different_macs() -> None:
    assert addresses.derived_mac("a", "bc") != addresses.derived_mac("ab", "c")


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ([], "10.213.0.0/28"),
        (["10.213.0.0/28"], "10.213.0.16/28"),
        (["10.213.0.0/24"], "10.213.1.0/28"),
        (["10.213.0.1/32", "192.168.0.0/16"], "10.213.0.16/28"),
        (["10.0.0.0/8"], None),
    ],
)
def test_the_lowest_free_subnet_comes_first(taken: list[str], first: str | None) -> None:
    free = addresses.free_subnets(IPv4Network("10.213.0.0/16"), map(IPv4Network, taken))

    assert next(free, None) == (IPv4Network(first) if first else None)


@given(st.lists(st.tuples(st.integers(0, 2047), st.integers(20, 32)), max_size=8))
def test_every_subnet_is_free_that_overlaps_no_taken_network(taken: list[tuple[int, int]]) -> None:
    pool = IPv4Network("10.213.2.0/23")
    networks = [IPv4Network((0x0AD50000 + offset, prefix), strict=False) for offset, prefix in taken]
    free = [each for each in pool.subnets(new_prefix=28) if not any(each.overlaps(network) for network in networks)]
    assert list(addresses.free_subnets(pool, networks)) == free


def test_a_pool_smaller_than_a_subnet_yields_none() -> None:
    assert list(addresses.free_subnets(IPv4Network("10.213.0.0/30"), [])) == []


def test_host_routes_are_read_without_the_default_route(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(ROUTES)

    assert addresses.host_routes(table) == [IPv4Network("192.168.1.0/24"), IPv4Network("10.213.0.16/28")]


@pytest.mark.parametrize(
    ("used", "spare"), [(("192.168.1.7",), "192.168.1.254"), (("192.168.1.254", None), "192.168.1.253")]
)
def test_a_spare_address_is_the_highest_unused_one(used: tuple[str | None, ...], spare: str) -> None:
    assert addresses.spare_address(IPv4Network("192.168.1.0/24"), *used) == spare


def test_a_mac_address_is_packed_as_in_a_frame() -> None:
    assert addresses.mac_bytes("02:00:5E:00:53:01") == b"\x02\x00\x5e\x00\x53\x01"
