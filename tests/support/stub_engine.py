"""A stub of a Docker engine on its own socket, which can answer, be slow, or hang at a chosen point."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from typing import Any

from controller.backends.docker.engine.lane import EngineLimits

_TRICKLE_SECONDS = 0.2
# Limits for a connection to the stub: one second for everything.
LIMITS = EngineLimits(
    ping_seconds=1, query_seconds=1, change_seconds=1, pull_seconds=1, probe_seconds=(0.05, 0.2), settle_seconds=0.05
)


class ResponseMode(Enum):
    """How the stub answers a request."""

    WHOLE = "whole"
    SILENT = "silent"  # read the request and never answer
    HEADERS = "headers"  # send the headers but no body
    TRICKLE = "trickle"  # send single bytes endlessly
    OPEN = "open"  # start a stream and send nothing


class StubEngine:
    """Answers requests to ``url``; ``requests`` records them in order as ``METHOD /path``.

    ``modes`` sets by path how further requests are answered. While ``running`` is not set it reads nothing, like a
    stopped process; pending requests are answered afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.version = "1.41"
        self.requests: list[str] = []
        self.connections = 0  # that were ever opened
        self.modes: dict[str, ResponseMode] = {}
        self.statuses: dict[str, str] = {}  # by path, if not 200
        self.answers: dict[str, Any] = {"/containers/json": [], "/networks": []}
        self.running = asyncio.Event()
        self.running.set()
        self._path = path
        self._arrived: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[StubEngine]:
        """Serve within this block."""
        server = await asyncio.start_unix_server(self._accept, self._path)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for_request(self, request: str, times: int = 1) -> None:
        """Wait until a request has arrived this many times since the last wait for it."""
        for _ in range(times):
            await asyncio.wait_for(self._arrived[request].acquire(), 30)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                await self.running.wait()
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await self.running.wait()
                await self._read_body(reader, head)
                await self._answer(writer, *head.split(" ", 2)[:2])

    async def _read_body(self, reader: asyncio.StreamReader, head: str) -> None:
        length = [line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
        await reader.readexactly(int(length[0]) if length else 0)

    async def _answer(self, writer: asyncio.StreamWriter, method: str, target: str) -> None:
        path = "/" + target.split("?", maxsplit=1)[0].lstrip("/").removeprefix(f"v{self.version}/")
        self.requests.append(f"{method} {path}")
        self._arrived[f"{method} {path}"].release()
        mode = self.modes.get(path, ResponseMode.WHOLE)
        if mode is not ResponseMode.SILENT:
            body = json.dumps(self.answers.get(path, {"message": "default answer"})).encode()
            length = len(body) if mode is ResponseMode.WHOLE else 2**30
            status = f"HTTP/1.1 {self.statuses.get(path, '200 OK')}\r\nApi-Version: {self.version}\r\n"
            writer.write(f"{status}Content-Length: {length}\r\n\r\n".encode())
            writer.write(body if mode is ResponseMode.WHOLE else b"")
            await writer.drain()
        while mode is ResponseMode.TRICKLE:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(_TRICKLE_SECONDS)
        if mode is not ResponseMode.WHOLE:
            await asyncio.Event().wait()
