"""Limits on connections per host and on unauthenticated connections."""

from __future__ import annotations

import pytest

from controller.machinery.connection_limits import Bounds, ConnectionLimits

HERE, THERE, LOOPBACK = "192.168.1.9", "192.168.1.10", "127.0.0.1"


def limited(unauthenticated: int = 9, authenticated: int = 9, per_host: int = 9) -> ConnectionLimits:
    """Limits that are the same for this host and for others."""
    bounds = Bounds(unauthenticated, authenticated)
    return ConnectionLimits(bounds, bounds, per_host)


def test_one_host_cannot_use_up_all_connections() -> None:
    limits = limited(per_host=2)
    for connection in ("a", "b"):
        limits.add(connection, HERE)
    assert not limits.has_room(HERE)
    assert limits.has_room(THERE)
    limits.remove("a")
    assert limits.has_room(HERE)


@pytest.mark.parametrize("host", [LOOPBACK, "127.0.0.7", "::1"])
def test_connections_of_this_host_are_never_refused(host: str) -> None:
    limits = limited(per_host=0)
    assert limits.has_room(host)


def test_connections_of_this_host_are_bounded_apart_from_those_of_others() -> None:
    limits = limited(unauthenticated=2)
    assert [limits.add(connection, LOOPBACK) for connection in ("a", "b")] == [[], []]
    assert [limits.add(connection, HERE) for connection in ("c", "d")] == [[], []]
    assert limits.add("e", "::1") == ["a"]
    assert limits.add("f", HERE) == ["c"]


def test_addresses_of_one_ipv6_network_count_as_one_host() -> None:
    limits = limited(per_host=1)
    limits.add("a", "2001:db8:0:1::1")
    assert not limits.has_room("2001:db8:0:1:ffff::2")
    assert limits.has_room("2001:db8:0:2::1")


def test_the_oldest_unauthenticated_connection_of_the_busiest_host_is_closed() -> None:
    limits = limited(unauthenticated=3)
    assert limits.add("theirs", THERE) == []
    assert limits.add("known", HERE) == []
    limits.mark_authenticated("known", "admin")
    assert [limits.add(connection, HERE) for connection in ("old", "new")] == [[], []]
    assert limits.add("newer", HERE) == ["old"]


@pytest.mark.parametrize("host", [LOOPBACK, HERE])
def test_the_oldest_connection_of_the_busiest_user_is_closed(host: str) -> None:
    limits = limited(authenticated=3)
    for connection, user in (("only", "admin"), ("old", "viewer"), ("new", "viewer"), ("newer", "viewer")):
        limits.add(connection, host)
        limits.mark_authenticated(connection, user)
    assert limits.add("next", host) == ["old"]


def test_a_connection_that_authenticates_before_it_is_counted_stays_authenticated() -> None:
    limits = limited(unauthenticated=0)
    limits.mark_authenticated("connection", "admin")
    limits.retain({"arriving", "connection"})
    assert limits.add("arriving", HERE) == ["arriving"]
    limits = limited(unauthenticated=1)
    limits.add("arriving", HERE)
    limits.mark_authenticated("connection", "admin")
    limits.replace("arriving", "connection")
    assert limits.add("other", HERE) == []


def test_closed_connections_are_not_counted() -> None:
    limits = limited(unauthenticated=1)
    limits.add("a", HERE)
    limits.retain(set())
    assert limits.add("b", HERE) == []
