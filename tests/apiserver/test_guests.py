"""How many connections a host may have, and which of them goes when there are too many that nobody knows."""

from __future__ import annotations

import pytest

from controller.apiserver.http.guests import Guests

HERE, THERE, ELSEWHERE = "192.168.1.9", "192.168.1.10", "fe80::1%eth0"


def test_one_host_leaves_room_to_others() -> None:
    guests = Guests(most=3, of_one_host=2)
    for connection in ("a", "b"):
        guests.add(connection, HERE)
    assert not guests.has_room(HERE)
    assert guests.has_room(THERE)
    guests.add("c", THERE)
    assert not guests.has_room(ELSEWHERE)
    guests.remove("a")
    assert guests.has_room(ELSEWHERE)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_the_box_itself_always_finds_room(host: str) -> None:
    guests = Guests(most=0, strangers=0)
    assert guests.has_room(host)
    assert guests.add("a", host) is None


def test_addresses_of_one_network_are_one_host() -> None:
    guests = Guests(of_one_host=1)
    guests.add("a", "2001:db8:0:1::1")
    assert not guests.has_room("2001:db8:0:1:ffff::2")
    assert guests.has_room("2001:db8:0:2::1")


def test_the_oldest_stranger_of_the_host_with_most_of_them_goes() -> None:
    guests = Guests(strangers=3)
    assert guests.add("theirs", THERE) is None
    assert guests.add("known", HERE) is None
    guests.know("known")
    assert [guests.add(connection, HERE) for connection in ("old", "new")] == [None, None]
    assert guests.add("newer", HERE) == "old"


def test_who_is_known_before_the_handshake_is_over_stays_known() -> None:
    guests = Guests(strangers=0)
    guests.know("connection")
    guests.keep({"arriving", "connection"})
    assert guests.add("arriving", HERE) == "arriving"
    guests = Guests(strangers=1)
    guests.add("arriving", HERE)
    guests.know("connection")
    guests.replace("arriving", "connection")
    assert guests.add("other", HERE) is None


def test_what_has_ended_is_not_counted() -> None:
    guests = Guests(most=1)
    guests.add("a", HERE)
    guests.keep(set())
    assert guests.has_room(HERE)
