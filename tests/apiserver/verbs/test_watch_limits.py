"""Limits on the number of watches and responses, and on how long a client may stall."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from unittest import mock

import aiohttp
import pytest

from controller.apiserver.http import responses
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAPS, session_of, status


async def test_a_watch_over_the_limit_gets_429(server: ApiServer) -> None:
    async with session_of(server, "admin") as admin, admin.get(f"{CONFIG_MAPS}?watch=true") as watching:
        assert (watching.status, watching.headers["Cache-Control"]) == (200, "no-cache, private")
        async with admin.get(f"{CONFIG_MAPS}?watch=true") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert (await answer.json())["reason"] == "TooManyRequests"
        assert await status(admin, "GET", CONFIG_MAPS) == 200


@contextlib.asynccontextmanager
async def unread(server: ApiServer, path: str) -> AsyncIterator[None]:
    """A request whose client reads only the first line of the response."""
    found = await asyncio.to_thread(server.credentials, "admin")
    context = await asyncio.to_thread(ssl.create_default_context, cafile=str(found.ca))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", int(server.url.rpartition(":")[2])))
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=context, server_hostname="localhost", limit=64
        )
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {found.token}\r\n\r\n".encode())
        await reader.readline()
        yield
        writer.transport.abort()


async def fill(admin: aiohttp.ClientSession) -> None:
    """Create more data than the buffers of a connection hold."""
    for number in range(12):
        body = {"metadata": {"name": f"large-{number}"}, "data": {"text": "x" * 900_000}}
        assert await status(admin, "POST", CONFIG_MAPS, body) == 201


async def test_a_stalled_watcher_loses_its_place(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "STALLED_SECONDS", 0.1)
    async with session_of(server, "admin") as admin, unread(server, f"{CONFIG_MAPS}?watch=true"):
        await fill(admin)
        while await status(admin, "GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0") == 429:
            pass  # the next request is the wait


async def test_a_response_holds_its_place_until_it_is_read(server: ApiServer) -> None:
    async with session_of(server, "admin") as admin:
        await fill(admin)
        async with unread(server, CONFIG_MAPS), unread(server, CONFIG_MAPS):  # as many as the server answers at once
            assert await status(admin, "GET", "/api/v1/namespaces/edge") == 429
        while await status(admin, "GET", "/api/v1/namespaces/edge") == 429:
            pass  # the next request is the wait


async def test_a_client_that_stops_reading_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "STALLED_SECONDS", 0.01)
    request = mock.Mock()
    with pytest.raises(ConnectionResetError, match="stopped reading"):
        await responses.send(request, asyncio.get_running_loop().create_future())
    request.transport.abort.assert_called_once()
