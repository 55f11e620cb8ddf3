"""The way to the cloud: sockets that notice a dead peer, and the proxy that the environment names."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from controller.cloud import transport
from controller.cloud.identity import Identity
from controller.console.server import Cloud
from tests.cloud_link.conftest import AGENT
from tests.support.links import Watched
from tests.support.proxy import Proxy


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests name their own proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other.example"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "api.getedge.me"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".getedge.me"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_is_the_one_for_https(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert transport.proxy_of("https://api.getedge.me:8443") == proxy


async def test_the_link_goes_through_the_proxy_with_its_credentials(
    cloud: Cloud, load_identity: Callable[[], Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://edge:secret@{proxy.address}")
        async with Watched(cloud.url, load_identity) as agent:
            await agent.connected()
            assert (await cloud.next_heartbeat(AGENT))["agent_id"] == AGENT
    assert proxy.targets == [f"localhost:{cloud.port}"]
    assert proxy.credentials == ["Proxy-Authorization: Basic ZWRnZTpzZWNyZXQ="]


async def test_a_proxy_that_is_away_is_named_as_the_cause_without_its_credentials(
    cloud: Cloud, load_identity: Callable[[], Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://edge:secret@127.0.0.1:1")
    async with Watched(cloud.url, load_identity) as agent:
        cause = await agent.failed()
    assert "proxy" in cause
    assert "secret" not in cause


async def test_sockets_notice_a_peer_that_is_gone() -> None:
    row = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with transport._socket(row) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert not made.getblocking()
