"""An HTTP proxy that only supports CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import asyncio
import contextlib


class Proxy:
    """Listens on loopback, as an async context. ``targets`` are the addresses it connected to."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.credentials: list[str] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.targets.append(request.split()[1])
        self.credentials += [line for line in request.splitlines() if line.startswith("Proxy-Authorization")]
        host, _, port = self.targets[-1].rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
