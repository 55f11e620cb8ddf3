"""Relays TCP connections between agent and cloud; frozen, it keeps them open and passes nothing on."""

from __future__ import annotations

import asyncio
import contextlib
import time

CHUNK = 65536


class Relay:
    """Listens on loopback for connections to another port of it; an async context manager."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._last_frozen = float("-inf")
        self._pairs: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def freeze(self) -> None:
        """Stop passing on, as behind a router that drops everything."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Pass on again."""
        self._last_frozen = time.monotonic()
        self._thawed.set()

    def was_frozen_since(self, moment: float) -> bool:
        """Whether it was frozen at any time since (CLOCK_MONOTONIC)."""
        return not self._thawed.is_set() or self._last_frozen >= moment

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                await self._join(reader, writer)
        finally:
            self._pairs.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._thawed.wait()
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        both = [
            asyncio.ensure_future(self._copy(reader, there_writer)),
            asyncio.ensure_future(self._copy(there_reader, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in both:
                copy.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            there_writer.close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._thawed.wait()
            target.write(data)
            await target.drain()
