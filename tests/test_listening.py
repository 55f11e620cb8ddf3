"""Addresses that a server listens on, and those by which clients reach it."""

from __future__ import annotations

import pytest

from controller import listening


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:6445", ("127.0.0.1", 6445)), ("[::1]:0", ("::1", 0)), ("edge.local:65535", ("edge.local", 65535))],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert listening.parse(text, "") == address


@pytest.mark.parametrize("text", ["", "6445", ":6445", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT, such as 0\.0\.0\.0:1"):
        listening.parse(text, "0.0.0.0:1")


@pytest.mark.parametrize(("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("::1", "https://[::1]:443")])
def test_an_ipv6_address_is_in_brackets_in_a_url(host: str, url: str) -> None:
    assert listening.https_url(host, 443) == url


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.168.1.2", "192.168.1.2"), ("edge.local", "edge.local")],
)
def test_the_host_itself_reaches_a_server_on_every_address_by_loopback(host: str, reached: str) -> None:
    assert listening.host_from_here(host) == reached


@pytest.mark.parametrize(
    ("host", "peer", "reached"),
    [
        ("0.0.0.0", "https://127.0.0.1:6443", "127.0.0.1"),
        ("0.0.0.0", "https://127.0.0.1", "127.0.0.1"),
        ("192.168.1.2", "https://127.0.0.1:6443", "192.168.1.2"),
        ("edge.local", "https://127.0.0.1:6443", "edge.local"),
    ],
)
def test_other_hosts_reach_it_by_our_address_towards_the_api(host: str, peer: str, reached: str) -> None:
    assert listening.host_from_elsewhere(host, peer) == reached
