"""Accepts the connections of an aiohttp server, and bounds the memory and file descriptors that they use.

Accepts connections itself instead of using asyncio's server, which starts the TLS handshake before the peer's address
can be checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from controller.machinery.connection_limits import ConnectionLimits

HANDSHAKE_SECONDS = 10.0
FIRST_SECONDS = 20.0  # in which a connection must send its first request; up to twice as long, due to the sweeps
BACKLOG = 100
RETRY_SECONDS = 1.0  # after a failed accept
# asyncio buffers 512 KiB per TLS connection before a write waits: a client that reads nothing would go unnoticed.
UNSENT_BYTES = 64 << 10

logger = logging.getLogger(__name__)


class Acceptor:
    """The listening sockets of a server and the connections accepted on them.

    ``first``: seconds between two sweeps for connections without a request.
    """

    def __init__(self, runner: web.AppRunner, limits: ConnectionLimits, first: float = FIRST_SECONDS) -> None:
        self._runner = runner
        self._connections = limits
        self._first = first
        self._active: set[Any] = set()
        self._idle: set[Any] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._sockets: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[Any]] = set()

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Listen and return the port; port 0 picks a free one. Without ``context`` there is no TLS. Raises OSError."""
        await self._runner.setup()
        self._sockets = await _server_sockets(host, port)
        self._acceptors = [asyncio.create_task(self._accept(one, context)) for one in self._sockets]
        self._sweeping = asyncio.get_running_loop().call_later(self._first, self._sweep)
        return int(self._sockets[0].getsockname()[1])

    def open_local(self, server_socket: socket.socket, is_allowed: Callable[[socket.socket], bool]) -> None:
        """Accept allowed connections on a listening UNIX socket as well. Call after ``open``."""
        self._sockets.append(server_socket)
        self._acceptors.append(asyncio.create_task(self._accept_local(server_socket, is_allowed)))

    def on_request(self, request: web.Request) -> None:
        """The connection has sent a request."""
        self._active.add(request.protocol)

    def on_authentication(self, request: web.Request, user: str) -> None:
        """The client of the connection has authenticated."""
        self._connections.mark_authenticated(request.protocol, user)

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
        self._sockets, self._acceptors = [], []
        await self._runner.cleanup()

    @property
    def _server(self) -> web.Server:
        if self._runner.server is None:
            raise RuntimeError("the server was not opened")
        return self._runner.server

    def _sweep(self) -> None:
        """Close connections that sent no request since before the last sweep: each takes up a place."""
        connections = set(self._server.connections)
        self._active &= connections
        for connection in connections & (self._idle - self._active):
            connection.force_close()
        self._idle = connections - self._active
        self._sweeping = asyncio.get_running_loop().call_later(self._first, self._sweep)

    async def _accept(self, server_socket: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            connection, (host, *_) = await _next(server_socket)
            self._forget_ended()
            if not self._connections.has_room(host):
                connection.close()
                continue
            handshake = asyncio.create_task(_handshake(connection, self._server, context))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._on_handshake)
            # Counted before the handshake ends: one that never does costs a descriptor and memory as well.
            for surplus in self._connections.add(handshake, host):
                _abort(surplus)

    async def _accept_local(self, server_socket: socket.socket, is_allowed: Callable[[socket.socket], bool]) -> None:
        while True:
            connection, _ = await _next(server_socket)
            self._forget_ended()
            if is_allowed(connection):
                await asyncio.get_running_loop().connect_accepted_socket(self._server, connection)
            else:
                connection.close()

    def _forget_ended(self) -> None:
        """Drop connections that have ended; called for each new one, as aiohttp does not report the end of one."""
        self._connections.retain({*self._server.connections, *self._handshakes})
        self._active &= set(self._server.connections)

    def _on_handshake(self, handshake: asyncio.Task[Any]) -> None:
        self._handshakes.discard(handshake)
        if not handshake.cancelled() and (protocol := handshake.result()) is not None:
            self._connections.replace(handshake, protocol)


async def _next(server_socket: socket.socket) -> tuple[socket.socket, Any]:
    """The next connection and the address of its peer."""
    # sock_accept() does not yield while connections wait: many at once would hold up everything else, even handshakes.
    await asyncio.sleep(0)
    while True:
        try:
            return await asyncio.get_running_loop().sock_accept(server_socket)
        except OSError as error:  # no file descriptor is left, or the client has gone
            logger.debug("Cannot accept a connection: %s", error)
            # The client stays in the backlog and the socket readable: without a pause this loop would spin.
            await asyncio.sleep(RETRY_SECONDS)


async def _handshake(connection: socket.socket, server: web.Server, context: ssl.SSLContext | None) -> Any:
    """Perform the TLS handshake, if any, and return the HTTP protocol; None if it failed."""
    seconds = HANDSHAKE_SECONDS if context else None
    try:
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            server, connection, ssl=context, ssl_handshake_timeout=seconds
        )
    except OSError:
        return None
    transport.set_write_buffer_limits(UNSENT_BYTES)
    return protocol


def _abort(connection: Any) -> None:
    """Abort a connection or its handshake."""
    if isinstance(connection, asyncio.Task):
        if connection.cancel():
            return
        # It has just ended: its callback would no longer find it counted, and the connection would stay.
        connection = None if connection.cancelled() or connection.exception() else connection.result()
    if connection is not None and connection.transport is not None:
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
