"""The socket of the API: TLS, and no more connections than a box has file descriptors to spare.

Who is on the box itself is always let in: it lives from its own API.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from typing_extensions import override

from controller.apiserver.http import encodings, wire
from controller.apiserver.worker import Worker

CONNECTIONS = 400  # of the 1024 descriptors that a service usually gets
HANDSHAKE_SECONDS = 10.0
FIRST_SECONDS = 20.0  # in which a connection must have made its first request; it may take twice as long
IDLE_SECONDS = 120.0  # before a connection without a request is closed; clients of Kubernetes keep theirs for 90 s
SHUTDOWN_SECONDS = 0.5
LINE_BYTES = 32 << 10  # of a URL: selectors are long
# Of each header, and how many: a connection that never ends them holds them in memory, before it is known who it is.
FIELD_BYTES, FIELDS = 4 << 10, 32

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Late(asyncio.Protocol):
    """A connection too many: goes to a ``protocol`` when it comes from the box itself, else it is ended."""

    def __init__(self, protocol: Callable[[], asyncio.BaseProtocol] | None) -> None:
        self._protocol = protocol

    @override
    def connection_made(self, transport: Any) -> None:
        """Called by the event loop, after the TLS handshake."""
        host = str((transport.get_extra_info("peername") or ("",))[0])
        if self._protocol is None or not _is_loopback(host):
            transport.abort()
            return
        protocol = self._protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class Door:
    """One listening socket, and the HTTP connections that came through it."""

    def __init__(self, handler: Handler, connections: int = CONNECTIONS, first: float = FIRST_SECONDS) -> None:
        """``first``: seconds between two looks for connections that have asked for nothing."""
        self._handler = handler
        self._connections = connections
        self._first = first
        self._heard: set[Any] = set()
        self._silent: set[Any] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._socket: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._worker = Worker()

    async def open(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen; the port, which was taken freely for 0. Raises OSError."""
        app = web.Application(client_max_size=wire.MAX_BODY)
        app[encodings.WORKER] = self._worker
        app.router.add_route("*", "/{path:(?s:.*)}", self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a small body must not become a large one before anyone looks at it
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
            max_headers=FIELDS,
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_server(
            self._accept, host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
        self._sweeping = loop.call_later(self._first, self._sweep)
        return int(self._socket.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Let nobody in any more, and end what is open. Does nothing when it was never open."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._socket is not None:
            self._socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._worker.close()
        self._socket = self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._heard.add(request.protocol)
        return await self._handler(request)

    def _sweep(self) -> None:
        """End the connections that were silent at the last look and still are: each holds a place."""
        server = self._runner.server if self._runner else None
        there = set(server.connections if server else ())
        self._heard &= there
        for connection in there & (self._silent - self._heard):
            connection.force_close()
        self._silent = there - self._heard
        self._sweeping = asyncio.get_running_loop().call_later(self._first, self._sweep)

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server if self._runner else None
        if server is None:
            return Late(None)
        return server() if len(server.connections) < self._connections else Late(server)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
