"""What a compromised or older node answers, and what the leader shows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web

from controller import errors
from controller.api import kinds
from controller.machinery.http_server import HttpServer
from controller.node_api import queries
from controller.nodes.cluster import certificate
from controller.nodes.cluster.leader_key import HEADER
from controller.nodes.cluster.remote_node import Address, RemoteNode
from tests.support.direct_api import DirectApi

NAME = "node-1"
READING = (
    b'[{"cpu_percent": %s, "memory_used": %s, "memory_total": 2, "disk_used": 3, "disk_total": 4, "uptime": 5}, %s]'
)


class Impostor:
    """A node that answers every query with ``status`` and ``body``."""

    def __init__(self, status: int, body: bytes) -> None:
        self.own = certificate.make()
        self.headers: Mapping[str, str] = {}
        self._response = (status, body)
        app = web.Application()
        app.add_routes([web.post("/{path:.*}", self._answer)])
        self.server = HttpServer("EDGE_NODE_LISTEN", "127.0.0.1", 0, app, self.own.context)

    async def _answer(self, request: web.Request) -> web.Response:
        self.headers = request.headers
        status, body = self._response
        return web.Response(status=status, body=body)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The file with the leader's token for nodes of 0.1."""
    path = tmp_path / "token"
    path.write_text("token for 0.1\n")
    return path


@pytest.fixture
async def impostor(request: pytest.FixtureRequest, token: Path) -> AsyncIterator[tuple[Impostor, RemoteNode]]:
    """A node that answers with the parameters of the fixture, and the leader's client for it."""
    made = await asyncio.to_thread(Impostor, *request.param)
    await made.server.start()
    async with DirectApi() as api:
        await api.create(kinds.EDGE_NODES, {"metadata": {"name": NAME}, "spec": {}})
        remote = RemoteNode(Address(NAME, f"https://127.0.0.1:{made.server.port}", made.own.pem), api, token)
        yield made, remote
        await remote.close()
    await made.server.stop()


@pytest.mark.parametrize(
    ("impostor", "sentence"),
    [
        ((200, b" " * (queries.ANSWER_LIMIT + 1)), "node node-1 cannot be reached: it answers with more than 4 MiB"),
        ((200, READING % (b"NaN", b"1", b"4")), "its answer cannot be read"),
        ((200, READING % (b"1", b"1" + b"0" * 400, b"4")), "its answer cannot be read"),
        ((200, READING % (b"1", b"1", b"-4")), "its answer cannot be read"),
        ((200, b"[" * 100_000), "its answer cannot be read"),
        ((500, b"[" * 100_000), "it is not a node of this controller"),
        ((422, json.dumps({"error": "x" * 100_000, "reason": ""}).encode()), "^x{1,1000}$"),
    ],
    ids=["large", "NaN", "huge", "negative", "deep", "deep error", "long error"],
    indirect=["impostor"],
)
async def test_a_bad_node_is_an_error_of_that_node(impostor: tuple[Impostor, RemoteNode], sentence: str) -> None:
    with pytest.raises(errors.CommandError, match=sentence):
        await impostor[1].reading()


@pytest.mark.parametrize("impostor", [(200, READING % (b"1", b"1", b"4"))], indirect=True, ids=[""])
async def test_a_node_of_an_older_version_gets_a_token(impostor: tuple[Impostor, RemoteNode], token: Path) -> None:
    node, remote = impostor
    await remote.reading()
    assert node.headers["Authorization"] == "Bearer token for 0.1"
    token.unlink()
    await remote.reading()
    assert "Authorization" not in node.headers
    assert node.headers[HEADER]
