"""Sends an HTTP request to a runtime on this host, at its internal address: once, bounded, and nowhere else.

Runtimes have self-signed certificates, so they are not verified. Redirects are returned, not followed. Cookies and
proxy settings of the environment are not used. Only a repeatable request uses a kept-alive connection: the runtime may
close it at that moment, and then it is unknown whether the request has arrived.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from typing import Any
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict
from typing_extensions import Buffer, override
from yarl import URL

from controller.errors import CommandError
from controller.machinery import bounded
from controller.node_api.node import HttpRequest, HttpResponse
from controller.nodes import bodies

CONNECTIONS = 64  # of each of the two sessions
KEEPALIVE_SECONDS = 10.0  # a page that polls a runtime does so every few seconds
# The size of the kernel's buffer bounds what is parsed at once: 256 KiB can hold ten thousand interim responses (100),
# which would block the event loop for half a second.
BUFFER_BYTES = 16 << 10
# Hop-by-hop headers (RFC 9110 section 7.6.1), and those that the client sets itself.
_DROPPED_REQUEST_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# aiohttp has already decompressed the body.
_DROPPED_RESPONSE_HEADERS = _DROPPED_REQUEST_HEADERS | {"content-encoding"}
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectionError, "the runtime closed the connection"),
    (aiohttp.ClientPayloadError, "the runtime's response is incomplete or corrupt"),
    (aiohttp.ClientResponseError, "the runtime's response is not HTTP"),
    (aiohttp.InvalidURL, "its path is not valid"),
)


class Proxy:
    """The HTTP client for runtimes; belongs to one event loop."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def send(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """The runtime's response. Raises errors.CommandError when there is none within ``seconds``."""
        if seconds <= 0:
            raise CommandError("not sent: it waited too long for other commands of this device; send it again")
        try:
            async with asyncio.timeout(seconds), self._send(request) as response:
                return await _read(response)
        # First, because aiohttp's timeouts are ClientErrors as well.
        except TimeoutError:
            raise CommandError(f"the runtime did not answer within {seconds:.0f} s") from None
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or str(error.os_error)
            raise CommandError(f"the runtime cannot be reached at port {request.port}: {reason}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CommandError(f"the request to the runtime failed: {_reason(error)}") from error

    async def close(self) -> None:
        """Close the sessions."""
        # Taken out before the first await, so that none is closed twice.
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def _send(self, request: HttpRequest) -> Any:
        headers, data = _headers_and_data(request)
        return self._session(keep=request.repeatable).request(
            request.method,
            _url(request),
            headers=headers,
            data=data,
            allow_redirects=False,
            middlewares=[] if request.repeatable else [_only_once()],
        )

    def _session(self, *, keep: bool) -> aiohttp.ClientSession:
        """The session that keeps connections open, or the one that opens a connection for each request."""
        if keep not in self._sessions:
            kept: dict[str, Any] = {"keepalive_timeout": KEEPALIVE_SECONDS} if keep else {"force_close": True}
            self._sessions[keep] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=False, limit=CONNECTIONS, socket_factory=_socket, **kept),
                cookie_jar=aiohttp.DummyCookieJar(),
                # The only limit is that of send(), which includes the wait for a free connection.
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "edge-controller"},
            )
        return self._sessions[keep]


class _Socket(socket.socket):
    """Acknowledges what it receives at once.

    A server that sends head and body separately waits with the body until the head is acknowledged (Nagle), which the
    kernel delays by 40 ms on a connection that was used before.
    """

    @override
    def send(self, data: Buffer, flags: int = 0, /) -> int:
        sent = super().send(data, flags)
        # Again for each request: the kernel forgets it (tcp(7): TCP_QUICKACK).
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return sent


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket with a small receive buffer; ``address`` is an entry of getaddrinfo."""
    family, kind, protocol, *_ = address
    made = _Socket(family, kind, protocol)
    made.setblocking(False)
    # Must precede connect() to limit the window that TCP announces (tcp(7)).
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return made


def _reason(error: Exception) -> str:
    """What went wrong. Not the client's own message, which may quote the URL or data that the runtime sent."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next((sentence for kind, sentence in _REASONS if isinstance(error, kind)), type(error).__name__)


def _only_once() -> aiohttp.ClientMiddlewareType:
    """Prevent a second attempt: aiohttp repeats a GET, PUT or DELETE when the connection is lost."""
    attempts = itertools.count(1)

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if next(attempts) > 1:
            raise aiohttp.ClientConnectionError("the runtime closed the connection")
        return await handler(request)

    return send


def _url(request: HttpRequest) -> URL:
    """A URL at the runtime's own address, whatever the other parts contain."""
    if not request.path.startswith("/"):
        raise CommandError("the path of a request must start with /")
    url = URL(f"{request.scheme}://{request.address}:{request.port}{request.path}")
    if (url.scheme, url.host, url.port) != (request.scheme, request.address, request.port):
        raise CommandError("the scheme, address and port of a request must be those of the runtime")
    return url.extend_query([(name, value) for name, values in request.params.items() for value in values])


def _headers_and_data(request: HttpRequest) -> tuple[CIMultiDict[str], Any]:
    headers = CIMultiDict(
        (name, value) for name, value in request.headers.items() if name.lower() not in _DROPPED_REQUEST_HEADERS
    )
    if request.files:
        headers.popall("Content-Type", None)  # aiohttp sets it, with the boundary
        return headers, _multipart(request)
    if request.data is None:
        return headers, None
    content_type = headers.setdefault("Content-Type", _JSON).partition(";")[0].strip().lower()
    return headers, _encoded(request.data, content_type)


def _encoded(data: Any, content_type: str) -> bytes:
    if content_type == _FORM and isinstance(data, dict):
        return urlencode({name: _text(value) for name, value in data.items()}).encode()
    if isinstance(data, str) and content_type != _JSON:
        return data.encode()
    return json.dumps(data).encode()


def _multipart(request: HttpRequest) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in (request.data or {}).items():
        form.add_field(name, _text(value))
    for name, file in request.files.items():
        form.add_field(name, file.content, filename=file.filename, content_type=file.content_type)
    return form


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def _read(response: aiohttp.ClientResponse) -> HttpResponse:
    content, cut = await bounded.read(response.content, bodies.LIMIT)
    if cut:
        response.close()
    body = bodies.of(content, *bodies.media_type_and_charset(response.headers.get("Content-Type", "")), cut=cut)
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        if name.lower() not in _DROPPED_RESPONSE_HEADERS:
            # The message has one text per name; repeated fields may be joined (RFC 9110 section 5.3).
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HttpResponse(
        status_code=response.status,
        headers=headers,
        body=body.value,
        content_type=response.headers.get("Content-Type", ""),
        encoding=body.encoding,
        truncated=body.truncated,
    )
