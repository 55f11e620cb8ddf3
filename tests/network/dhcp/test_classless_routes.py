"""Classless static routes of a lease (RFC 3442)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.network.dhcp import classless_routes, messages
from controller.network.dhcp.leases import ROUTES_KEPT, Lease
from controller.network.dhcp.messages import DISCOVER, Message
from controller.network.routes import Route
from tests.network.dhcp.server import MAC, Exchange

ROUTER = bytes([10, 0, 0, 1])


def route(destination: str, gateway: str = "") -> Route:
    """A route."""
    return Route(IPv4Network(destination), IPv4Address(gateway) if gateway else None)


def leased(value: bytes) -> Lease:
    """The lease of 10.0.0.20/24 with this option, and with the router 10.0.0.1."""
    lease = Exchange().bound(classless=value).machine.lease
    assert lease is not None
    return lease


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", []),
        (bytes([0]) + ROUTER, [route("0.0.0.0/0", "10.0.0.1")]),
        (bytes([8, 10]) + ROUTER, [route("10.0.0.0/8", "10.0.0.1")]),
        (bytes([23, 10, 27, 129]) + ROUTER, [route("10.27.128.0/23", "10.0.0.1")]),
        (bytes([32, 10, 229, 0, 128]) + bytes(4), [route("10.229.0.128/32")]),
        (bytes([8, 10]) + ROUTER + bytes([33, 1, 2, 3, 4, 5]) + ROUTER, []),
        (bytes([8, 10]) + ROUTER + bytes([24, 10, 1]) + ROUTER, []),
    ],
    ids=["none", "default", "one byte", "bits beyond the width", "without a router", "a width of 33", "cut off"],
)
def test_routes_are_decoded(value: bytes, expected: list[Route]) -> None:
    assert list(classless_routes.decode(value)) == expected


@given(st.binary(max_size=255))
def test_malformed_routes_raise_nothing(value: bytes) -> None:
    assert isinstance(classless_routes.decode(value), tuple)


def test_they_are_requested_before_the_router() -> None:
    wanted = Message(DISCOVER, 1, MAC).encode()
    wanted = wanted[wanted.index(bytes([messages.PARAMETERS])) :]
    assert wanted.index(messages.CLASSLESS_ROUTES) < wanted.index(messages.ROUTER, 2)


def test_they_replace_the_router() -> None:
    lease = leased(bytes([8, 172]) + ROUTER)
    assert (lease.gateway, lease.routes) == (None, (route("172.0.0.0/8", "10.0.0.1"),))


def test_the_default_one_is_the_gateway() -> None:
    lease = leased(bytes([8, 172]) + ROUTER + bytes([0, 10, 0, 0, 9]))
    assert (lease.gateway, lease.routes) == (IPv4Address("10.0.0.9"), (route("172.0.0.0/8", "10.0.0.1"),))


def test_malformed_ones_leave_the_router() -> None:
    assert leased(bytes([8])).gateway == IPv4Address("10.0.0.1")


@pytest.mark.parametrize(
    "value",
    [
        bytes([8, 127]) + ROUTER,
        bytes([24, 224, 0, 0]) + ROUTER,
        bytes([32, 255, 255, 255, 255]) + ROUTER,
        bytes([8, 172, 10, 0, 0, 20]),
        bytes([8, 172, 10, 0, 0, 255]),
        bytes([8, 172, 127, 0, 0, 1]),
        bytes(5),
    ],
    ids=["loopback", "multicast", "all hosts", "by its own address", "by all hosts", "by loopback", "by nobody"],
)
def test_unusable_ones_are_left_out(value: bytes) -> None:
    assert leased(value).routes == ()


def test_their_number_is_bounded() -> None:
    assert len(leased(b"".join(bytes([24, 172, 16, number]) + ROUTER for number in range(31))).routes) <= ROUTES_KEPT
