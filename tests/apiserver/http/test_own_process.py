"""Requests without a connection: the same rights, checks and log as through the socket, and nothing shared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.apiserver.http.request_bodies import MAX_BODY
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.store import Change
from controller.machinery import kinds, writes
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.support.api_server import serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server without custom kinds."""
    async with serving(tmp_path) as server:
        yield server


@pytest.fixture
async def direct(server: ApiServer) -> AsyncIterator[ApiClient]:
    """A client that opens no connection."""
    client = ApiClient(Endpoint(server.url, socket=server.socket, direct=server.own_process))
    yield client
    await client.close()


def event(name: str, **fields: Any) -> dict[str, Any]:
    """An Event, which the controller may create."""
    metadata = {"name": name, "namespace": "edge"}
    return {"metadata": metadata, "involvedObject": {"namespace": "edge"}, "reason": "Made", **fields}


async def test_it_is_the_controller_and_opens_no_connection(server: ApiServer) -> None:
    api = ApiClient(Endpoint("https://nowhere.test", direct=server.own_process))
    assert (await api.create(kinds.EVENTS, event("made")))["reason"] == "Made"
    with pytest.raises(errors.ApiError, match='User "controller" cannot list resource "secrets"'):
        await api.list(kinds.SECRETS, "edge")
    await api.close()


async def test_both_ways_give_the_same_response(api: ApiClient, direct: ApiClient) -> None:
    assert await direct.get(kinds.NAMESPACES, "edge") == await api.get(kinds.NAMESPACES, "edge")


async def test_what_the_caller_changes_afterwards_changes_no_object(direct: ApiClient) -> None:
    namespace = await direct.get(kinds.NAMESPACES, "edge")
    namespace["metadata"]["labels"] = {"changed": "by the caller"}
    assert await direct.get(kinds.NAMESPACES, "edge") != namespace


@pytest.mark.parametrize("reason", ["\ud800", float("nan")])
async def test_a_body_that_is_not_json_is_refused(direct: ApiClient, reason: Any) -> None:
    with pytest.raises(errors.InvalidError, match="the object provided is unrecognized"):
        await direct.create(kinds.EVENTS, event("made", reason=reason))


async def test_a_body_that_is_too_large_is_refused(direct: ApiClient) -> None:
    with pytest.raises(errors.ApiError, match="Request entity too large"):
        await direct.create(kinds.EVENTS, event("made", message="x" * MAX_BODY))


async def test_the_path_is_decoded_as_in_a_url(api: ApiClient, direct: ApiClient) -> None:
    for client in (api, direct):
        with pytest.raises(errors.NotFoundError, match='"a b"'):
            await client.get(kinds.NAMESPACES, "a%20b")


async def test_several_writes_take_effect_together(direct: ApiClient) -> None:
    made = [writes.creation(kinds.EVENTS, event(name)) for name in ("one", "two", "one")]
    with pytest.raises(errors.AlreadyExistsError):
        await direct.transaction(*made)
    first, second = await direct.transaction(*made[:2])
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["one", "two"]


async def test_a_write_is_in_the_audit_log(direct: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    await direct.create(kinds.EVENTS, event("made"))
    (line,) = caplog.records
    noted = {name: vars(line)[name] for name in ("user", "verb", "object", "code", "peer", "agent")}
    assert noted == {
        "user": "controller", "verb": "create", "object": "edge/made", "code": 201, "peer": "local",
        "agent": "edge-controller",
    }  # fmt: skip


async def test_a_write_whose_caller_is_cancelled_is_in_the_audit_log(
    server: ApiServer, direct: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    writing = asyncio.create_task(direct.create(kinds.EVENTS, event("made")))

    def cancel(change: Change) -> None:
        if change.object["kind"] == "Event":  # the server writes, too
            writing.cancel()  # the write is on disk, and its caller does not know yet

    server._store.attach(cancel)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert server.own_process is not None
    await server.own_process.close()  # waits for the write
    (line,) = caplog.records
    assert vars(line)["object"] == "edge/made"


async def test_others_get_their_turn_between_two_requests(direct: ApiClient) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for _ in range(10):
        await direct.get(kinds.NAMESPACES, "edge")
    counting.cancel()
    assert turns >= 10


async def test_a_stopped_server_is_unavailable(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        api = ApiClient(Endpoint(server.url, direct=server.own_process))
    with pytest.raises(errors.ApiUnavailableError, match="the server has stopped"):
        await api.get(kinds.NAMESPACES, "edge")
    with pytest.raises(errors.ApiUnavailableError, match="the server has stopped"):
        await anext(api.watch(kinds.NAMESPACES))
