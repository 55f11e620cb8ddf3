"""Answers requests of the process that serves the API without a connection: no sockets, no HTTP.

Rights, limits, checks and log are those of any other request, and each side keeps what it has: bodies are bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import unquote

from aiohttp import web

from controller.apiserver.http.filter_chain import FilterChain
from controller.apiserver.http.limits import Limits
from controller.apiserver.incoming import OwnRequest


class OwnProcess:
    """Call it in the server's event loop. Watches need a connection."""

    def __init__(self, filter_chain: FilterChain, app: web.Application, limits: Limits) -> None:
        self._filter_chain = filter_chain
        self._app = app
        self._limits = limits

    async def __call__(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes]:
        """The status and the body of the response. Raises ConnectionError once the server stops."""
        if self._limits.stopping:
            raise ConnectionError("the server has stopped")
        # Nothing else in a read waits, so that many of them in turn would hold the loop.
        await asyncio.sleep(0)
        request = OwnRequest(self._app, method, unquote(path), query, headers, content)
        response = await self._filter_chain.answer_own(request)
        return response.status, response.body if isinstance(response.body, bytes) else b""
