"""A port of this process that serves HTTP with aiohttp, and says which setting to change when it is taken.

Connections are limited, as with the API: any host of the LAN may be able to open some.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from controller.errors import SettingError
from controller.machinery.acceptor import FIRST_SECONDS, Acceptor
from controller.machinery.connection_limits import Bounds, ConnectionLimits

# The leader of a cluster opens a connection for each query, up to 256 at once, and all of them begin unauthenticated.
PER_HOST = 256
OTHERS = Bounds(unauthenticated=PER_HOST, authenticated=PER_HOST)


class HttpServer:
    """Serves ``app`` at the address in ``setting``. Port 0 means any free port, see ``port``. ``tls`` None: no TLS."""

    def __init__(
        self,
        setting: str,
        host: str,
        port: int,
        app: web.Application,
        tls: ssl.SSLContext | None = None,
        *,
        limits: ConnectionLimits | None = None,
        first: float = FIRST_SECONDS,
    ) -> None:
        self._setting = setting
        self._host = host
        self._port = port
        self._tls = tls
        # aiohttp waits a minute for open requests by default; systemd kills the service after ten seconds.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        app.middlewares.insert(0, self._note_request)
        self._acceptor = Acceptor(runner, limits or ConnectionLimits(OTHERS, per_host=PER_HOST), first)

    @property
    def port(self) -> int:
        """The port listened on; before start() the requested one."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises errors.SettingError when the address is not available."""
        try:
            self._port = await self._acceptor.open(self._host, self._port, self._tls)
        except OSError as error:
            # What the server has started must not outlive a failed start.
            await self.stop()
            raise SettingError(
                f"{self._setting}: cannot listen on {self._host}:{self._port} ({error.strerror}): stop the program "
                "that uses it or choose another port"
            ) from error

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        await self._acceptor.close()

    def mark_authenticated(self, request: web.Request, user: str = "") -> None:
        """The client of the connection has authenticated: it is not closed in favour of strangers."""
        self._acceptor.on_authentication(request, user)

    @web.middleware
    async def _note_request(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._acceptor.on_request(request)
        return await handler(request)
