"""A port that other hosts reach: connections that send nothing are closed, and their number is limited."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from controller.machinery.connection_limits import Bounds, ConnectionLimits
from controller.machinery.http_server import HttpServer
from tests.support import descriptors


async def respond(_: web.Request) -> web.Response:
    """Respond with a text."""
    return web.Response(text="answered")


def serving(limits: ConnectionLimits | None = None, first: float = 20.0) -> HttpServer:
    """A server at any free port."""
    app = web.Application()
    app.add_routes([web.get("/", respond)])
    return HttpServer("EDGE_HTTP_LISTEN", "127.0.0.1", 0, app, limits=limits, first=first)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """A server with one place for clients that do not authenticate."""
    server = serving(ConnectionLimits(local=Bounds(unauthenticated=1, authenticated=1)))
    await server.start()
    yield server
    await server.stop()


async def test_of_more_connections_than_there_are_places_the_oldest_is_closed(server: HttpServer) -> None:
    oldest, _ = await asyncio.open_connection("127.0.0.1", server.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(30):
        assert await oldest.read() == b""
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"answered")).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("places", range(1, 7))
async def test_each_surplus_connection_is_closed_however_far_its_start_is(places: int) -> None:
    server = serving(ConnectionLimits(local=Bounds(places, authenticated=0)))
    await server.start()
    before = descriptors.opened("socket:")
    # They wait to be accepted, one in each turn of the event loop: each is closed some turns after its own start.
    waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    last, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await last.readuntil(b"answered")
    assert descriptors.opened("socket:") == before + len(waiting) + 1 + places
    writer.close()
    for one in waiting:
        one.close()
    await server.stop()


async def test_a_connection_that_sends_nothing_is_closed_and_one_with_requests_is_kept() -> None:
    server = serving(first=0.1)
    await server.start()
    silent, _ = await asyncio.open_connection("127.0.0.1", server.port)
    asking, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(30):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await asking.readuntil(b"answered")).startswith(b"HTTP/1.1 200")
            assert await silent.read() == b""
    await server.stop()
