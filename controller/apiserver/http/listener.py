"""The listener of the API: TLS for everybody, and a UNIX socket for its own process."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from controller.apiserver.http import local_socket, request_bodies
from controller.apiserver.http.limits import WORKER
from controller.apiserver.http.request_bodies import Decoder
from controller.apiserver.worker import Worker
from controller.machinery.acceptor import FIRST_SECONDS, Acceptor
from controller.machinery.connection_limits import ConnectionLimits

IDLE_SECONDS = 120.0  # before an idle connection is closed; Kubernetes clients keep theirs for 90 s
# Stopping does not wait for open watches, which may last an hour.
SHUTDOWN_SECONDS = 0.5
LINE_BYTES = 32 << 10  # of a request line: selectors can be long
# Size and number of headers: an unauthenticated connection that never ends them keeps them in memory.
FIELD_BYTES, FIELDS = 4 << 10, 32

# Called with the user once the client of the connection has authenticated.
MARK_AUTHENTICATED: web.RequestKey[Callable[[str], None]] = web.RequestKey("mark-authenticated")

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
        """``first``: as for Acceptor. ``decoders``: of more bodies."""
        self._handler = handler
        self._worker = Worker()
        self.app = app = web.Application(client_max_size=request_bodies.MAX_BODY)
        """What handlers use of the server; also for requests without a connection."""
        app[WORKER], app[request_bodies.DECODERS] = self._worker, {**request_bodies.OWN_DECODERS, **decoders}
        # (?s): a path with an encoded line break must reach the handler and get a Status, too.
        app.router.add_route("*", "/{path:(?s:.*)}", self._answer)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a small body could decompress to a huge one before any check
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
            max_headers=FIELDS,
        )
        self._acceptor = Acceptor(runner, limits or ConnectionLimits(), first)

    async def open(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen and return the port; port 0 picks a free one. Raises OSError."""
        return await self._acceptor.open(host, port, context)

    def open_local(self, server_socket: socket.socket) -> None:
        """Accept connections of our own user on a listening UNIX socket as well. Call after ``open``."""
        self._acceptor.open_local(server_socket, local_socket.is_ours)

    async def close(self) -> None:
        """Stop accepting and close all connections. Does nothing if it was never opened."""
        await self._acceptor.close()
        self._worker.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._acceptor.on_request(request)
        request[MARK_AUTHENTICATED] = lambda user: self._acceptor.on_authentication(request, user)
        return await self._handler(request)
