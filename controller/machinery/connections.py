"""How clients connect to an endpoint: through its UNIX socket, or by TLS."""

from __future__ import annotations

import asyncio

import aiohttp

from controller.machinery.endpoint import Endpoint


async def connector(endpoint: Endpoint, limit: int) -> aiohttp.BaseConnector:
    """Connections to an endpoint, at most ``limit`` at once; 0 means any number. Raises OSError."""
    if endpoint.socket:
        return aiohttp.UnixConnector(str(endpoint.socket), limit=limit)
    return aiohttp.TCPConnector(ssl=await asyncio.to_thread(endpoint.ssl_context), limit=limit)
