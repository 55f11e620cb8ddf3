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


async def test_two_connections_of_the_box_where_there_is_room_for_one(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    await asyncio.to_thread(pki.ensure, time.time())
    context = await asyncio.to_thread(pki.server_context)
    client = ssl.create_default_context(cadata=await asyncio.to_thread(pki.ca))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="answered")

    door = Door(answer, connections=1)
    url = f"https://127.0.0.1:{await door.open('127.0.0.1', 0, context)}"
    async with aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
        for session in (first, second, first, second):
            async with session.get(url, ssl=client) as answered:
                assert await answered.text() == "answered"
    await door.close()
