"""A port of this process that serves HTTP with aiohttp, and says which setting to change when it is taken."""

from __future__ import annotations

import ssl

from aiohttp import web

from controller.errors import SettingError


class HttpServer:
    """Serves ``app`` at the address in ``setting``. Port 0 means any free port, see ``port``. ``tls`` None: no TLS."""

    def __init__(
        self, setting: str, host: str, port: int, app: web.Application, tls: ssl.SSLContext | None = None
    ) -> None:
        self._setting = setting
        self._host = host
        self._port = port
        self._tls = tls
        # aiohttp waits a minute for open requests by default; systemd kills the service after ten seconds.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    @property
    def port(self) -> int:
        """The port listened on; before start() the requested one."""
        return self._runner.addresses[0][1] if self._runner.addresses else self._port

    async def start(self) -> None:
        """Listen. Raises errors.SettingError when the address is not available."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()
        except OSError as error:
            # What setup() has started must not outlive a failed start.
            await self.stop()
            raise SettingError(
                f"{self._setting}: cannot listen on {self._host}:{self._port} ({error.strerror}): stop the program "
                "that uses it or choose another port"
            ) from error

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        await self._runner.cleanup()
