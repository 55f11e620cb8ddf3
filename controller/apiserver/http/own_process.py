"""Answers requests of the process that serves the API without a connection: no sockets, no HTTP.

Rights, limits, checks and log are those of any other request, and each side keeps what it has: bodies are bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import unquote

from aiohttp import web

from controller.apiserver.http.filter_chain import FilterChain
from controller.apiserver.http.limits import Limits
from controller.apiserver.incoming import OwnRequest

REQUESTS_AT_ONCE = 32  # more wait: each holds its bodies in memory


class OwnProcess:
    """Call it in the server's event loop."""

    def __init__(self, filter_chain: FilterChain, app: web.Application, limits: Limits) -> None:
        self._filter_chain = filter_chain
        self._app = app
        self._limits = limits
        self._places = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._answering: set[asyncio.Task[web.Response]] = set()

    async def __call__(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes]:
        """The status and the body of the response. Raises ConnectionError once the server stops."""
        request = OwnRequest(self._app, method, unquote(path), query, headers, content)
        await self._places.acquire()
        if self._limits.stopping:
            self._places.release()
            raise ConnectionError("the server has stopped")
        # A task also gives others their turn: nothing else in a read waits.
        answering = asyncio.create_task(self._filter_chain.answer_own(request))
        self._answering.add(answering)
        answering.add_done_callback(self._leave)
        # Shielded: like that of a connection, a write whose caller has gone must still get into the audit log.
        response = await asyncio.shield(answering)
        return response.status, response.body if isinstance(response.body, bytes) else b""

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """The lines of a watch, until the caller closes it. Raises ConnectionError once the server stops."""
        if self._limits.stopping:
            raise ConnectionError("the server has stopped")
        return self._filter_chain.watch_own(OwnRequest(self._app, "GET", unquote(path), query, {}, b""))

    async def close(self) -> None:
        """Wait for the requests in progress; there are no new ones once the limits say that the server stops."""
        await asyncio.gather(*self._answering, return_exceptions=True)

    def _leave(self, answering: asyncio.Task[web.Response]) -> None:
        self._answering.discard(answering)
        self._places.release()
