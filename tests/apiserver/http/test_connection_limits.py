"""How many connections a host may have, and which of them goes when there are too many that nobody knows."""

from __future__ import annotations

import pytest

from controller.apiserver.http.connection_limits import ConnectionLimits

HERE, THERE, ELSEWHERE = "192.168.1.9", "192.168.1.10", "fe80::1%eth0"


def test_one_host_leaves_room_to_others() -> None:
    limits = ConnectionLimits(most=3, per_host=2)
    for connection in ("a", "b"):
        limits.add(connection, HERE)
    assert not limits.has_room(HERE)
    assert limits.has_room(THERE)
    limits.add("c", THERE)
    assert not limits.has_room(ELSEWHERE)
    limits.remove("a")
    assert limits.has_room(ELSEWHERE)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_the_box_itself_always_finds_room(host: str) -> None:
    limits = ConnectionLimits(most=0, unauthenticated=0)
    assert limits.has_room(host)
    assert limits.add("a", host) is None


def test_addresses_of_one_network_are_one_host() -> None:
    limits = ConnectionLimits(per_host=1)
    limits.add("a", "2001:db8:0:1::1")
    assert not limits.has_room("2001:db8:0:1:ffff::2")
    assert limits.has_room("2001:db8:0:2::1")


def test_the_oldest_stranger_of_the_host_with_most_of_them_goes() -> None:
    limits = ConnectionLimits(unauthenticated=3)
    assert limits.add("theirs", THERE) is None
    assert limits.add("known", HERE) is None
    limits.mark_authenticated("known")
    assert [limits.add(connection, HERE) for connection in ("old", "new")] == [None, None]
    assert limits.add("newer", HERE) == "old"


def test_who_is_known_before_the_handshake_is_over_stays_known() -> None:
    limits = ConnectionLimits(unauthenticated=0)
    limits.mark_authenticated("connection")
    limits.retain({"arriving", "connection"})
    assert limits.add("arriving", HERE) == "arriving"
    limits = ConnectionLimits(unauthenticated=1)
    limits.add("arriving", HERE)
    limits.mark_authenticated("connection")
    limits.replace("arriving", "connection")
    assert limits.add("other", HERE) is None


def test_what_has_ended_is_not_counted() -> None:
    limits = ConnectionLimits(most=1)
    limits.add("a", HERE)
    limits.retain(set())
    assert limits.has_room(HERE)
