"""The API client's credentials and connections: renewal after 401, names in certificates, proxies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from controller import errors
from controller.api import kinds
from controller.machinery.client import ApiClient, Endpoint
from tests.machinery.conftest import Handler, Server
from tests.support.certificates import Authority


def requiring(token: str) -> Handler:
    """A handler that accepts only this token."""

    async def handle(request: web.Request) -> web.StreamResponse:
        accepted = request.headers.get("Authorization") == f"Bearer {token}"
        return web.json_response({"metadata": {}}, status=200 if accepted else 401)

    return handle


@pytest.fixture
async def renewing(server: Server, certificates: Authority) -> AsyncIterator[ApiClient]:
    """A client whose token is "old", and after each renewal "new"; a renewal also issues another certificate."""
    pair = certificates.agent("admin")
    old = Endpoint(server.url, certificates.ca, pair.certificate, pair.key, token="old")

    async def renew() -> Endpoint:
        other = await asyncio.to_thread(certificates.agent, "admin")
        return replace(made, token="new", client_cert=other.certificate, client_key=other.key)

    made = replace(old, renew=renew)
    api = ApiClient(made)
    yield api
    await api.close()


async def test_a_rejected_token_is_renewed_and_the_request_repeated(server: Server, renewing: ApiClient) -> None:
    server.handler = requiring("new")
    await renewing.create(kinds.RUNTIMES, {"metadata": {"name": "x", "namespace": "edge"}})
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]
    assert server.bodies[0] == server.bodies[1]
    await renewing.get(kinds.RUNTIMES, "x", "edge")
    assert len(server.requests) == 3


async def test_a_token_that_stays_rejected_is_tried_once_more(server: Server, renewing: ApiClient) -> None:
    server.handler = requiring("another")
    for _ in range(2):  # the second without a renewal, which would be too early
        with pytest.raises(errors.ApiError) as raised:
            await renewing.get(kinds.RUNTIMES, "x", "edge")
        assert raised.value.code == 401
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer old",
        "Bearer new",
        "Bearer new",
    ]


async def test_a_request_on_the_previous_certificate_finishes(server: Server, renewing: ApiClient) -> None:
    began, answer = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        began.set()
        await answer.wait()
        return web.json_response({"metadata": {"name": "slow"}})

    server.handler = slow
    waiting = asyncio.create_task(renewing.get(kinds.RUNTIMES, "slow", "edge"))
    await began.wait()
    server.handler = requiring("new")
    await renewing.get(kinds.RUNTIMES, "x", "edge")
    answer.set()
    assert await waiting == {"metadata": {"name": "slow"}}


async def test_a_watch_uses_renewed_credentials(server: Server, renewing: ApiClient) -> None:
    server.handler = requiring("new")
    with pytest.raises(errors.ApiUnavailableError, match="event"):  # the response is no stream of events
        await anext(renewing.watch(kinds.RUNTIMES, "edge"))
    assert server.requests[-1].headers["Authorization"] == "Bearer new"


@pytest.mark.parametrize(
    ("options", "works"),
    [({}, False), ({"server_name": "api.test"}, True), ({"insecure": True}, True), ({"server_name": "x.test"}, False)],
    ids=["host of the URL", "server name", "insecure", "another name"],
)
async def test_the_certificate_may_have_another_name(
    certificates: Authority, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], works: bool
) -> None:
    pair = certificates.server("api.test")
    monkeypatch.setattr(certificates, "server", lambda: pair)
    server, user = Server(certificates), certificates.agent("admin")
    await server.start()
    api = ApiClient(Endpoint(server.url, certificates.ca, user.certificate, user.key, **options))
    with contextlib.nullcontext() if works else pytest.raises(errors.ApiUnavailableError, match="certificate"):
        await api.get(kinds.RUNTIMES, "x", "edge")
    await api.close()
    await server.stop()


async def test_requests_go_through_the_proxy(certificates: Authority) -> None:
    asked: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as proxy:
        address = "http://{}:{}".format(*proxy.sockets[0].getsockname())
        api = ApiClient(Endpoint("https://api.test:6443", certificates.ca, proxy=address))
        with pytest.raises(errors.ApiUnavailableError, match="502"):
            await api.get(kinds.RUNTIMES, "x", "edge")
        await api.close()
    assert asked == [b"CONNECT api.test:6443 HTTP/1.1\r\n"]
