"""The HTTP session of one connection: sockets, TLS and proxy. Never reused, so that nothing in it can be stale."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import urllib.request
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from typing_extensions import override
from yarl import URL

from controller.errors import LinkError

# The cloud sends files for runtimes; aiohttp closes the connection above 4 MiB by default.
MAX_INCOMING = 32 << 20  # bytes

USER_TIMEOUT_MS = 15_000  # unacknowledged data ends the connection after this time (tcp(7): TCP_USER_TIMEOUT)
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 10, 5, 3  # seconds, seconds, count

# Loopback in its plain spellings only: URL parsers disagree about unusual ones such as 127.1.
_LOOPBACK = re.compile(r"http://(?:localhost|(127\.[0-9.]+)|\[::1\])(?::[0-9]{1,5})?/?")


def check(url: str) -> None:
    """Raises LinkError for an unencrypted URL, unless the cloud runs on this host (for local tests)."""
    if url.startswith("https://") or ((found := _LOOPBACK.fullmatch(url)) and _is_address(found[1] or "127.0.0.1")):
        return
    raise LinkError(
        "EDGE_CLOUD_URL does not start with https://, and only a cloud on localhost may send commands unencrypted: "
        "give it as https://HOST"
    )


def session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Create a session without shared connections, DNS cache or redirects from TLS to plain text."""
    connector = aiohttp.TCPConnector(ssl=context, use_dns_cache=False, force_close=True, socket_factory=_socket)
    redirects = aiohttp.TraceConfig()
    redirects.on_request_redirect.append(_check_redirect)
    return aiohttp.ClientSession(connector=connector, ws_response_class=_WebSocket, trace_configs=[redirects])


async def _check_redirect(
    _: aiohttp.ClientSession, __: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    headers = redirect.response.headers
    # The headers that aiohttp follows, in its order.
    target = redirect.url.join(URL(headers.get("Location", headers.get("URI", ""))))
    if target.scheme not in ("https", "wss"):
        place = f"{target.scheme}://{target.host}"
        raise LinkError(f"the cloud redirects to {place}, which is not encrypted: correct EDGE_CLOUD_URL")


def _is_address(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text).is_loopback
    except ValueError:
        return False


def websocket_options(url: str) -> dict[str, Any]:
    """Options to open the WebSocket. Sets the proxy, since aiohttp would look up WSS_PROXY instead of HTTPS_PROXY."""
    options: dict[str, Any] = {"max_msg_size": MAX_INCOMING}
    if proxy := proxy_of(url):
        options["proxy"] = proxy
    return options


def proxy_of(url: str) -> str | None:
    """The proxy that HTTPS_PROXY names for this URL; None if NO_PROXY excludes its host."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None  # only this host itself, which needs no proxy
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


class _WebSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that closes when its reader times out, and leaves no socket open when closed.

    engineio reads with a deadline. When that passes, it waits for its writer to finish, but a packet sent at the same
    moment keeps the writer running indefinitely: the link would receive nothing and still look connected. Closing the
    socket ends both.
    """

    @override
    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:
        """The next message."""
        try:
            return await super().receive(timeout)
        except asyncio.CancelledError:
            # Kept in a field, as the event loop holds only a weak reference to a task.
            self._closing_task = asyncio.create_task(self.close())
            raise

    @override
    async def close(self, *, code: int = aiohttp.WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close with a close frame, then abort: TLS would wait 30 s for the close_notify of a frozen cloud."""
        connection = self._response.connection
        # Read before closing, which clears the connection.
        tls = connection.transport if connection else None
        try:
            return await super().close(code=code, message=message)
        finally:
            if tls and not self._response.connection:  # still set while another close() waits for the cloud
                tls.abort()


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Create a TCP socket that detects a dead peer; ``address`` is a row of getaddrinfo."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    # Both are needed: while data is unacknowledged, the kernel sends no keepalive probes.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return made
