"""Limits on connections per host and on unauthenticated connections."""

from __future__ import annotations

import pytest

from controller.machinery.connection_limits import ConnectionLimits

HERE, THERE, ELSEWHERE = "192.168.1.9", "192.168.1.10", "fe80::1%eth0"


def test_one_host_cannot_use_up_all_connections() -> None:
    limits = ConnectionLimits(total=3, per_host=2)
    for connection in ("a", "b"):
        limits.add(connection, HERE)
    assert not limits.has_room(HERE)
    assert limits.has_room(THERE)
    limits.add("c", THERE)
    assert not limits.has_room(ELSEWHERE)
    limits.remove("a")
    assert limits.has_room(ELSEWHERE)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_loopback_connections_are_never_refused(host: str) -> None:
    limits = ConnectionLimits(total=0, unauthenticated=0)
    assert limits.has_room(host)
    assert limits.add("a", host) is None


def test_addresses_of_one_ipv6_network_count_as_one_host() -> None:
    limits = ConnectionLimits(per_host=1)
    limits.add("a", "2001:db8:0:1::1")
    assert not limits.has_room("2001:db8:0:1:ffff::2")
    assert limits.has_room("2001:db8:0:2::1")


def test_the_oldest_unauthenticated_connection_of_the_busiest_host_is_closed() -> None:
    limits = ConnectionLimits(unauthenticated=3)
    assert limits.add("theirs", THERE) is None
    assert limits.add("known", HERE) is None
    limits.mark_authenticated("known")
    assert [limits.add(connection, HERE) for connection in ("old", "new")] == [None, None]
    assert limits.add("newer", HERE) == "old"


def test_a_connection_that_authenticates_before_it_is_counted_stays_authenticated() -> None:
    limits = ConnectionLimits(unauthenticated=0)
    limits.mark_authenticated("connection")
    limits.retain({"arriving", "connection"})
    assert limits.add("arriving", HERE) == "arriving"
    limits = ConnectionLimits(unauthenticated=1)
    limits.add("arriving", HERE)
    limits.mark_authenticated("connection")
    limits.replace("arriving", "connection")
    assert limits.add("other", HERE) is None


def test_closed_connections_are_not_counted() -> None:
    limits = ConnectionLimits(total=1)
    limits.add("a", HERE)
    limits.retain(set())
    assert limits.has_room(HERE)
