"""Watches of the API client: events, failures and connections."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from controller import errors
from controller.api import kinds
from controller.machinery.client import ApiClient
from tests.machinery.conftest import Handler, Server, answering, streaming


async def test_a_watch_yields_events_until_the_server_ends_it(server: Server, api: ApiClient) -> None:
    added, bookmark = {"type": "ADDED", "object": {"a": 1}}, {"type": "BOOKMARK", "object": {}}
    server.handler = streaming(added, bookmark)
    watch = api.watch(kinds.RUNTIMES, "edge", resource_version="7", field_selector="metadata.name=x")
    assert [event async for event in watch] == [("ADDED", {"a": 1}), ("BOOKMARK", {})]
    query = server.requests[0].query
    assert (query["watch"], query["resourceVersion"], query["fieldSelector"]) == ("true", "7", "metadata.name=x")


async def test_an_event_of_megabytes_is_received(server: Server, api: ApiClient) -> None:
    text = "x" * (3 << 20)
    server.handler = streaming({"type": "ADDED", "object": {"text": text}})
    assert [event.object["text"] async for event in api.watch(kinds.RUNTIMES)] == [text]


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (answering(410, {"reason": "Expired", "message": "too old"}), errors.ExpiredError),
        (streaming({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}), errors.ExpiredError),
        (streaming({"type": "ERROR", "object": {"code": 500}}), errors.ApiUnavailableError),
        (streaming({"type": "ADDED", "object": {}}, b'{"type": "ADD'), errors.ApiUnavailableError),
        (streaming({"type": "ADDED"}), errors.ApiUnavailableError),
        (streaming(["ADDED"]), errors.ApiUnavailableError),
    ],
)
async def test_a_failure_of_a_watch_is_mapped_to_an_error(
    server: Server, api: ApiClient, handler: Handler, error: type[errors.ApiError]
) -> None:
    server.handler = handler
    with pytest.raises(error):
        async for _ in api.watch(kinds.RUNTIMES, resource_version="1"):
            pass


async def test_watches_do_not_use_up_the_connections_of_requests(server: Server, api: ApiClient) -> None:
    ended = asyncio.Event()

    async def hold_watches(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return await server.ok(request)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {}}\n')
        await ended.wait()
        return response

    server.handler = hold_watches
    watches = [api.watch(kinds.RUNTIMES) for _ in range(120)]
    await asyncio.gather(*(anext(watch) for watch in watches))
    assert await api.get(kinds.RUNTIMES, "x", "edge")
    ended.set()
    await asyncio.gather(*(watch.aclose() for watch in watches))
