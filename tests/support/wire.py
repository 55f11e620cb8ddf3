"""A cloud that speaks Engine.IO and Socket.IO frame by frame, to send what no library would."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.certificates import Authority


class WireCloud:
    """Listens on loopback with TLS; an async context manager. ``packets`` holds the agents' packets.

    It acknowledges nothing on its own. Times are in seconds.
    """

    def __init__(self, authority: Authority, *, ping_interval: float = 25, ping_timeout: float = 20) -> None:
        self._pings = {"pingInterval": int(ping_interval * 1000), "pingTimeout": int(ping_timeout * 1000)}
        pair = authority.server()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(pair.certificate, pair.key)
        self.packets: asyncio.Queue[str] = asyncio.Queue()
        self.sockets: list[web.WebSocketResponse] = []
        self.acceptance = '40{"sid":"socket"}'  # sent to a connecting agent, unless empty
        self.after_connect: list[str] = []  # frames that follow in the same write

    async def __aenter__(self) -> WireCloud:
        app = web.Application()
        app.router.add_get("/socket.io/", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.url = f"https://localhost:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for socket in self.sockets:
            await socket.close()
        await self._runner.cleanup()

    async def send(self, *frames: str | bytes) -> None:
        """Send frames to the most recently connected agent."""
        for frame in frames:
            await (self.sockets[-1].send_str(frame) if isinstance(frame, str) else self.sockets[-1].send_bytes(frame))

    async def event(self, name: str) -> tuple[str, list[Any]]:
        """Wait for the next event (``42``) of this name; return its acknowledgement id and arguments."""
        while True:
            identifier, data = _split(await self.packet("42"))
            if data[0] == name:
                return identifier, data[1:]

    async def acknowledgement(self, identifier: int) -> list[Any]:
        """Wait for the acknowledgement (``43``) with this id; return its arguments."""
        while True:
            got, data = _split(await self.packet("43"))
            if got == str(identifier):
                return data

    async def packet(self, kind: str) -> str:
        """Wait for the next packet of a kind; return it without the kind."""
        async with asyncio.timeout(30):
            while not (frame := await self.packets.get()).startswith(kind):
                pass
        return frame[len(kind) :]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1_000_000)
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_str("0" + json.dumps({"sid": "engine", "upgrades": [], "maxPayload": 10**6, **self._pings}))
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "40{}":
                for frame in filter(None, [self.acceptance, *self.after_connect]):
                    await socket.send_str(frame)
            elif message.type is WSMsgType.TEXT:
                self.packets.put_nowait(message.data)
        return socket


def _split(packet: str) -> tuple[str, list[Any]]:
    identifier, bracket, rest = packet.partition("[")
    data: list[Any] = json.loads(bracket + rest)
    return identifier, data
