"""The listener of the API: TLS for everybody, and a UNIX socket for its own process.

Bounds the memory and file descriptors that connections use.

Accepts connections itself instead of using asyncio's server, which starts the TLS handshake before the peer's address
can be checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from controller.apiserver.http import local_socket, request_bodies, responses
from controller.apiserver.http.connection_limits import ConnectionLimits
from controller.apiserver.http.limits import WORKER
from controller.apiserver.http.request_bodies import Decoder
from controller.apiserver.worker import Worker

HANDSHAKE_SECONDS = 10.0
FIRST_SECONDS = 20.0  # in which a connection must send its first request; up to twice as long, due to the sweeps
IDLE_SECONDS = 120.0  # before an idle connection is closed; Kubernetes clients keep theirs for 90 s
# Stopping does not wait for open watches, which may last an hour.
SHUTDOWN_SECONDS = 0.5
LINE_BYTES = 32 << 10  # of a request line: selectors can be long
# Size and number of headers: an unauthenticated connection that never ends them keeps them in memory.
FIELD_BYTES, FIELDS = 4 << 10, 32

BACKLOG = 100
RETRY_SECONDS = 1.0  # after a failed accept

# The read buffer that asyncio allocates per TLS connection from its first byte on. The default of 256 KiB would take a
# hundred megabytes for all connections. A TLS record has 16 KiB.
sslproto.SSLProtocol.max_size = 32 << 10

# Called once the client of the connection has authenticated.
MARK_AUTHENTICATED: web.RequestKey[Callable[[], None]] = web.RequestKey("mark-authenticated")

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """The listening sockets and the HTTP connections accepted on them."""

    def __init__(
        self,
        handler: Handler,
        limits: ConnectionLimits | None = None,
        first: float = FIRST_SECONDS,
        decoders: Mapping[str, Decoder] = MappingProxyType({}),
    ) -> None:
        """``first``: seconds between two sweeps for connections without a request. ``decoders``: of more bodies."""
        self._handler = handler
        self._connections = limits or ConnectionLimits()
        self._first = first
        self._active: set[Any] = set()
        self._idle: set[Any] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._sockets: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._worker = Worker()
        self._decoders = {**request_bodies.OWN_DECODERS, **decoders}

    async def open(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen and return the port; port 0 picks a free one. Raises OSError."""
        app = web.Application(client_max_size=request_bodies.MAX_BODY)
        app[WORKER], app[request_bodies.DECODERS] = self._worker, self._decoders
        # (?s): a path with an encoded line break must reach the handler and get a Status, too.
        app.router.add_route("*", "/{path:(?s:.*)}", self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a small body could decompress to a huge one before any check
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
            max_headers=FIELDS,
        )
        await self._runner.setup()
        self._sockets = await _server_sockets(host, port)
        self._acceptors = [asyncio.create_task(self._accept(one, context)) for one in self._sockets]
        self._sweeping = asyncio.get_running_loop().call_later(self._first, self._sweep)
        return int(self._sockets[0].getsockname()[1])

    def open_local(self, server_socket: socket.socket) -> None:
        """Accept connections of our own user on a listening UNIX socket as well. Call after ``open``."""
        self._sockets.append(server_socket)
        self._acceptors.append(asyncio.create_task(self._accept_local(server_socket)))

    async def close(self) -> None:
        """Stop accepting and close all connections. Does nothing if it was never opened."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        # The tasks end first: a socket must not be closed while the event loop watches its descriptor.
        tasks = [*self._acceptors, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server_socket in self._sockets:
            server_socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._worker.close()
        self._sockets, self._acceptors, self._runner = [], [], None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._active.add(request.protocol)
        request[MARK_AUTHENTICATED] = lambda: self._connections.mark_authenticated(request.protocol)
        return await self._handler(request)

    def _sweep(self) -> None:
        """Close connections that sent no request since before the last sweep: each takes up a place."""
        connections = set(self._runner.server.connections if self._runner and self._runner.server else ())
        self._active &= connections
        for connection in connections & (self._idle - self._active):
            connection.force_close()
        self._idle = connections - self._active
        self._sweeping = asyncio.get_running_loop().call_later(self._first, self._sweep)

    async def _accept(self, server_socket: socket.socket, context: ssl.SSLContext) -> None:
        while self._runner and (server := self._runner.server):
            connection, (host, *_) = await _next(server_socket)
            self._forget_ended(server)
            if not self._connections.has_room(host):
                connection.close()
                continue
            handshake = asyncio.create_task(_handshake(connection, server, context))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._on_handshake)
            # Counted before the handshake ends: one that never does costs a descriptor and memory as well.
            _abort(self._connections.add(handshake, host))

    async def _accept_local(self, server_socket: socket.socket) -> None:
        while self._runner and (server := self._runner.server):
            connection, _ = await _next(server_socket)
            self._forget_ended(server)
            if local_socket.is_ours(connection):
                await asyncio.get_running_loop().connect_accepted_socket(server, connection)
            else:
                connection.close()

    def _forget_ended(self, server: web.Server) -> None:
        """Drop connections that have ended; called for each new one, as aiohttp does not report the end of one."""
        self._connections.retain({*server.connections, *self._handshakes})
        self._active &= set(server.connections)

    def _on_handshake(self, handshake: asyncio.Task[Any]) -> None:
        self._handshakes.discard(handshake)
        if not handshake.cancelled() and (protocol := handshake.result()) is not None:
            self._connections.replace(handshake, protocol)


async def _next(server_socket: socket.socket) -> tuple[socket.socket, Any]:
    """The next connection and the address of its peer."""
    while True:
        try:
            return await asyncio.get_running_loop().sock_accept(server_socket)
        except OSError as error:  # no file descriptor is left, or the client has gone
            logger.debug("Cannot accept a connection: %s", error)
            # The client stays in the backlog and the socket readable: without a pause this loop would spin.
            await asyncio.sleep(RETRY_SECONDS)


async def _handshake(connection: socket.socket, server: web.Server, context: ssl.SSLContext) -> Any:
    """Perform the TLS handshake and return the HTTP protocol; None if it failed."""
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.connect_accepted_socket(
            server, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
    except OSError:
        return None
    # asyncio buffers 512 KiB per TLS connection before a write waits: a client that reads nothing would go unnoticed.
    transport.set_write_buffer_limits(responses.PIECE_BYTES)
    return protocol


def _abort(connection: Any) -> None:
    """Abort a connection or its handshake."""
    if isinstance(connection, asyncio.Task):
        connection.cancel()
    elif connection is not None and connection.transport is not None:
        connection.transport.abort()


async def _server_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of the host. Raises OSError."""
    loop, made = asyncio.get_running_loop(), []
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:
        # getaddrinfo may return an address twice, and the second bind to it would fail.
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            one = opened.enter_context(socket.create_server(address, family=family, backlog=BACKLOG))
            one.setblocking(False)
            made.append(one)
        # From here on the caller closes them; before, a failed bind closes those that succeeded.
        opened.pop_all()
    return made
