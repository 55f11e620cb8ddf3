"""Watches without a connection: the same events, rights and refusals as through the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from controller import errors
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.support.api_server import serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server with our kinds."""
    async with serving(tmp_path, *crds.manifests()) as server:
        yield server


@pytest.fixture
async def direct(server: ApiServer) -> AsyncIterator[ApiClient]:
    """A client that can open no connection."""
    client = ApiClient(Endpoint("https://nowhere.test", direct=server.own_process))
    yield client
    await client.close()


async def create(api: ApiClient, name: str) -> None:
    """Create a Runtime."""
    spec = {"deviceId": name, "image": "registry/plc", "version": "1"}
    await api.create(kinds.RUNTIMES, {"metadata": {"name": name, "namespace": "edge"}, "spec": spec})


async def test_it_sees_what_a_connection_sees(api: ApiClient, direct: ApiClient) -> None:
    for name, client in (("first", api), ("second", direct)):
        async with aclosing(client.watch(kinds.RUNTIMES, "edge", field_selector=f"metadata.name={name}")) as changes:
            await create(direct, f"before-{name}")
            await create(direct, name)
            assert await anext(changes) == ("ADDED", await api.get(kinds.RUNTIMES, name, "edge"))
            await direct.delete(kinds.RUNTIMES, name, "edge")
            assert (await anext(changes)).type == "DELETED"


async def test_what_the_watcher_changes_afterwards_changes_no_object(direct: ApiClient) -> None:
    await create(direct, "first")
    async with aclosing(direct.watch(kinds.RUNTIMES, "edge")) as changes:
        (await anext(changes)).object["spec"]["deviceId"] = "changed by the watcher"
    assert (await direct.get(kinds.RUNTIMES, "first", "edge"))["spec"]["deviceId"] == "first"


async def test_one_that_is_closed_leaves_nothing(server: ApiServer, direct: ApiClient) -> None:
    await create(direct, "first")
    before = list(server._store._listeners)
    async with aclosing(direct.watch(kinds.RUNTIMES, "edge")) as changes:
        await anext(changes)
        assert len(server._store._listeners) == len(before) + 1
    assert server._store._listeners == before


async def test_one_that_is_refused_raises_as_over_a_connection(api: ApiClient, direct: ApiClient) -> None:
    for client in (api, direct):
        with pytest.raises(errors.ApiError, match='cannot watch resource "secrets"'):
            await anext(client.watch(core_kinds.SECRETS, "edge"))
        with pytest.raises(errors.ApiError, match="field label not supported"):
            await anext(client.watch(kinds.RUNTIMES, field_selector="spec.nothing=1"))
        with pytest.raises(errors.ApiError, match="too old resource version"):
            await anext(client.watch(kinds.RUNTIMES, resource_version="1000000"))
