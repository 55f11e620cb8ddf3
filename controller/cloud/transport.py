"""The HTTP session of one connection: sockets, TLS and proxy. Made afresh each time, so that nothing stale stays."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from typing_extensions import override

# The cloud sends files to pass on to runtimes; aiohttp closes the connection above 4 MiB by default.
MAX_INCOMING = 32 << 20  # bytes

USER_TIMEOUT_MS = 15_000  # data that nobody acknowledges ends the connection (tcp(7): TCP_USER_TIMEOUT)
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 10, 5, 3  # seconds, seconds, count


def session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """A session of its own: no shared connections, no DNS cache."""
    connector = aiohttp.TCPConnector(ssl=context, use_dns_cache=False, force_close=True, socket_factory=_socket)
    return aiohttp.ClientSession(connector=connector, ws_response_class=_WebSocket)


def websocket_options(url: str) -> dict[str, Any]:
    """How the WebSocket is opened. aiohttp looks up WSS_PROXY for wss addresses, so the proxy is chosen here."""
    options: dict[str, Any] = {"max_msg_size": MAX_INCOMING}
    if proxy := proxy_of(url):
        options["proxy"] = proxy
    return options


def proxy_of(url: str) -> str | None:
    """The proxy that HTTPS_PROXY (or HTTP_PROXY) names for this URL, unless NO_PROXY excepts its host."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


class _WebSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that ends when its reader gives up.

    engineio reads with a deadline. When that passes, it waits for its writer to end, and a packet sent in the same
    moment keeps the writer going for ever: the link would be deaf, and look well. A closed socket ends both.
    """

    @override
    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:
        """The next message."""
        try:
            return await super().receive(timeout)
        except asyncio.CancelledError:
            self._closing_task = asyncio.create_task(self.close())
            raise


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A TCP socket that notices a peer which has gone; ``address`` is a row of getaddrinfo."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return made
