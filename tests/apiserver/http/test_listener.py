"""The listener of the API: how many connections it accepts, and which it closes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import tracemalloc
from asyncio import sslproto
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from controller import tls_buffers
from controller.apiserver.access.pki import Pki
from controller.apiserver.http.listener import MARK_AUTHENTICATED, Listener
from controller.machinery import acceptor
from controller.machinery.connection_limits import Bounds, ConnectionLimits
from tests.support import descriptors


@pytest.fixture
async def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of the server and of its clients."""
    pki = Pki(tmp_path)
    await asyncio.to_thread(pki.ensure, time.time())
    context = await asyncio.to_thread(pki.server_context)
    return context, ssl.create_default_context(cadata=await asyncio.to_thread(pki.ca))


async def answer(request: web.Request) -> web.Response:
    """Responds with the path."""
    return web.Response(text=request.path)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give connections unlimited time for their handshakes."""
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 600.0)


def limited(unauthenticated: int) -> ConnectionLimits:
    """Limits for this host."""
    return ConnectionLimits(local=Bounds(unauthenticated, authenticated=9))


@pytest.mark.usefixtures("patient")
async def test_silent_connections_of_this_host_do_not_keep_others_out(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    made = Listener(answer, limited(8))
    port = await made.open("127.0.0.1", 0, contexts[0])
    before = descriptors.opened("socket:")
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    async with aiohttp.ClientSession() as http, http.get(f"https://127.0.0.1:{port}", ssl=contexts[1]) as answered:
        assert await answered.text() == "/"
        assert descriptors.opened("socket:") <= before + len(silent) + 8 + 1  # the server's ends are few
    for _, writer in silent:
        writer.close()
    await made.close()


@pytest.mark.usefixtures("patient")
async def test_connections_that_wait_to_be_accepted_do_not_hold_up_the_event_loop(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    made = Listener(answer)
    port = await made.open("127.0.0.1", 0, contexts[0])
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]  # without a turn for the server
    turns, tasks = 0, len(asyncio.all_tasks())
    while len(asyncio.all_tasks()) < tasks + len(waiting):  # each has a handshake
        await asyncio.sleep(0)
        turns += 1
    assert turns >= len(waiting)
    for one in waiting:
        one.close()
    await made.close()


@pytest.mark.usefixtures("patient")
async def test_the_oldest_unauthenticated_connection_is_closed_for_a_new_one(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def authenticated(request: web.Request) -> web.Response:
        request[MARK_AUTHENTICATED]("viewer")
        return web.Response(text="authenticated")

    made = Listener(authenticated, limited(1))
    port = await made.open("127.0.0.1", 0, contexts[0])
    url = f"https://127.0.0.1:{port}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=contexts[1], limit=1)) as http:
        for _ in range(2):
            async with http.get(url) as answered:
                assert await answered.text() == "authenticated"
            handshaking, first = await asyncio.open_connection("127.0.0.1", port)
            silent, second = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1])
            assert await handshaking.read() == b""
            _, third = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionResetError):
                assert await silent.read() == b""
            for writer in (first, second, third):
                writer.close()
    await made.close()


async def test_a_connection_takes_little_memory(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    tls_buffers.shrink()  # as the service does (cli/run.py)
    made = Listener(answer)
    port = await made.open("127.0.0.1", 0, contexts[0])
    async with aiohttp.ClientSession() as http, http.get(f"https://127.0.0.1:{port}", ssl=contexts[1]):
        tracemalloc.start()
        opened = [await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1]) for _ in range(10)]
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    for _, writer in opened:
        writer.transport.abort()
    await made.close()
    assert taken < 20 * 128 << 10  # both ends of each connection


async def test_a_connection_without_requests_is_closed_and_an_active_one_is_kept(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    made = Listener(answer, first=0.1)
    port = await made.open("127.0.0.1", 0, contexts[0])
    silent, halfway = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1])
    halfway.write(b"GET / HTTP/1.1\r\nHost:")
    asking, writer = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1])
    for _ in range(2):
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asking.readuntil(b"/a")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(30):
            assert await silent.read() == b""
    await made.close()


async def test_a_path_with_a_line_break_reaches_the_handler(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    made = Listener(answer)
    url = f"https://127.0.0.1:{await made.open('127.0.0.1', 0, contexts[0])}/a%0Ab"
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True), ssl=contexts[1]) as answered:
        assert await answered.text() == "/a\nb"
    await made.close()
