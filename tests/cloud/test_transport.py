"""The transport: sockets that detect a dead peer, proxies from the environment, accepted URLs and redirects."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from controller.cloud import transport
from controller.cloud.identity import Identity
from controller.errors import LinkError
from controller.localcloud.server import Cloud
from tests.cloud.conftest import AGENT
from tests.support.certificates import Authority
from tests.support.links import RunningLink
from tests.support.proxy import Proxy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's proxy settings; tests set their own."""
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
def test_the_proxy_comes_from_https_proxy(
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
        async with RunningLink(cloud.url, load_identity) as agent:
            await agent.connected()
            assert (await cloud.next_heartbeat(AGENT))["agent_id"] == AGENT
    assert proxy.targets == [f"localhost:{cloud.port}"]
    assert proxy.credentials == ["Proxy-Authorization: Basic ZWRnZTpzZWNyZXQ="]


async def test_an_unreachable_proxy_is_reported_without_its_credentials(
    cloud: Cloud, load_identity: Callable[[], Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://edge:secret@127.0.0.1:1")
    async with RunningLink(cloud.url, load_identity) as agent:
        cause = await agent.failed()
    assert "proxy" in cause
    assert "secret" not in cause


async def test_sockets_detect_a_dead_peer() -> None:
    row = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with transport._socket(row) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert not made.getblocking()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.getedge.me",
        "http://localhost",
        "http://localhost:3001/",
        "http://127.0.0.1",
        "http://127.8.9.10:80",
        "http://[::1]:3001",
    ],
)
def test_urls_with_tls_or_on_this_host_are_accepted(url: str) -> None:
    transport.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.getedge.me",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "http://evil\\@127.0.0.1",
        "http://user:word@localhost",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1.",
        "http://127.1",
        "http://127.0.0.999",
        "http://0x7f.1",
        "http://2130706433",
        "http://0.0.0.0",
        "http://[::ffff:127.0.0.1]",
        "http://[::1]evil.example",
        "http://localhost#.evil.example",
        "http://localhost:99999999@evil.example",
        "http://localhost\n",
        "HTTP://api.getedge.me",
        "ws://localhost",
    ],
)
def test_unencrypted_urls_of_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(LinkError, match="give it as https://HOST"):
        transport.check(url)


def test_no_proxy_is_used_for_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert transport.proxy_of("http://localhost:3001") is None


async def test_an_unencrypted_link_stays_down_with_a_reason(load_identity: Callable[[], Identity]) -> None:
    async with RunningLink("http://cloud.test", load_identity) as agent:
        assert "EDGE_CLOUD_URL does not start with https://" in await agent.failed()


def _redirecting(target: Callable[[], str], visits: list[str]) -> Handler:
    """A handler that redirects the first request to ``target`` and answers later ones; collects URLs in ``visits``."""

    async def answer(request: web.Request) -> web.Response:
        visits.append(f"{request.scheme}{request.path}")
        if len(visits) > 1:
            return web.Response()
        raise web.HTTPTemporaryRedirect(target())

    return answer


@pytest.mark.parametrize("scheme", ["http", "ws", "HTTP"])
async def test_a_redirect_to_plain_text_is_not_followed(
    certificates: Authority, load_wire_identity: Callable[[], Identity], scheme: str
) -> None:
    visits: list[str] = []
    handler = _redirecting(lambda: f"{scheme}://127.0.0.1:{plain.port}/", visits)
    async with (
        Serving(handler) as plain,
        Serving(handler, certificates) as cloud,
        RunningLink(f"https://localhost:{cloud.port}", load_wire_identity) as agent,
    ):
        failed = await agent.failed()
    assert f"redirects to {scheme.lower()}://127.0.0.1, which is not encrypted" in failed
    assert "http/" not in visits


@pytest.mark.parametrize("place", ["/other", "https://localhost:{}/other"])
async def test_a_redirect_to_tls_is_followed(
    certificates: Authority, load_wire_identity: Callable[[], Identity], place: str
) -> None:
    visits: list[str] = []
    handler = _redirecting(lambda: place.format(cloud.port), visits)
    async with (
        Serving(handler, certificates) as cloud,
        RunningLink(f"https://localhost:{cloud.port}", load_wire_identity) as agent,
    ):
        assert "answers with HTTP status 200 instead of a WebSocket" in await agent.failed()
    assert visits[:2] == ["https/socket.io/", "https/other"]


class Serving:
    """An HTTP server on loopback, as an async context manager; with TLS if given certificates."""

    def __init__(self, handler: Handler, certificates: Authority | None = None) -> None:
        self._handler = handler
        self._context: ssl.SSLContext | None = None
        if certificates is not None:
            pair = certificates.server()
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(pair.certificate, pair.key)

    async def __aenter__(self) -> Serving:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
