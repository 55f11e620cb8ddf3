"""The socket of the API: how many connections it takes, and from whom it always takes one."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from controller.apiserver.access.pki import Pki
from controller.apiserver.http.door import Door, Late


class Connection:
    """What Late is given: where it comes from, and what becomes of it."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        self._peer = peer
        self.protocol: Any = None
        self.ended = False

    def get_extra_info(self, _: str) -> tuple[str, int] | None:
        return self._peer

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def abort(self) -> None:
        self.ended = True


class Answering(asyncio.Protocol):
    """The protocol that would answer."""

    made = False

    def connection_made(self, transport: Any) -> None:
        self.made = True


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_the_box_itself_always_finds_room(host: str) -> None:
    connection = Connection((host, 1))
    Late(Answering).connection_made(connection)
    assert connection.protocol.made
    assert not connection.ended


@pytest.mark.parametrize("peer", [("192.168.1.9", 1), ("fe80::1%eth0", 1), None])
def test_a_connection_too_many_from_elsewhere_is_ended(peer: tuple[str, int] | None) -> None:
    connection = Connection(peer)
    Late(Answering).connection_made(connection)
    assert connection.ended
    assert connection.protocol is None


@pytest.fixture
async def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS of a server and of its clients."""
    pki = Pki(tmp_path)
    await asyncio.to_thread(pki.ensure, time.time())
    context = await asyncio.to_thread(pki.server_context)
    return context, ssl.create_default_context(cadata=await asyncio.to_thread(pki.ca))


async def answer(request: web.Request) -> web.Response:
    """Tells the path."""
    return web.Response(text=request.path)


async def test_two_connections_of_the_box_where_there_is_room_for_one(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    door = Door(answer, connections=1)
    url = f"https://127.0.0.1:{await door.open('127.0.0.1', 0, contexts[0])}"
    async with aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
        for session in (first, second, first, second):
            async with session.get(url, ssl=contexts[1]) as answered:
                assert await answered.text() == "/"
    await door.close()


async def test_who_asks_for_nothing_loses_its_place_and_who_has_asked_keeps_it(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    door = Door(answer, first=0.1)
    port = await door.open("127.0.0.1", 0, contexts[0])
    silent, halfway = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1])
    halfway.write(b"GET / HTTP/1.1\r\nHost:")
    asking, writer = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1])
    for _ in range(2):
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asking.readuntil(b"/a")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(30):
            assert await silent.read() == b""
    await door.close()


async def test_a_path_with_a_line_break_comes_to_the_handler_too(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    door = Door(answer)
    url = f"https://127.0.0.1:{await door.open('127.0.0.1', 0, contexts[0])}/a%0Ab"
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True), ssl=contexts[1]) as answered:
        assert await answered.text() == "/a\nb"
    await door.close()
