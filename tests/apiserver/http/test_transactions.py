"""Several writes in one request: all or none, each with the rights and the log line of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.machinery import kinds as core_kinds
from controller.machinery import writes
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.machinery.writes import Selection, Write
from tests.support.api_server import serving

SPEC = {"topic": "stop_device", "deviceId": "plc-1", "sequence": 1}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server with our kinds."""
    async with serving(tmp_path, *crds.manifests()) as server:
        yield server


def runtime(name: str, **spec: Any) -> Write:
    """The creation of a Runtime."""
    whole = {"deviceId": name, "image": "registry.test/plc", "version": "1", **spec}
    return writes.creation(kinds.RUNTIMES, {"metadata": {"name": name, "namespace": "edge"}, "spec": whole})


def of_device(name: str) -> Selection:
    """The Runtimes of a device."""
    return writes.selection(kinds.RUNTIMES, f"spec.deviceId={name}")


async def names_of(api: ApiClient) -> list[str]:
    """The names of all Runtimes."""
    return [item["metadata"]["name"] for item in await api.list(kinds.RUNTIMES)]


async def test_a_write_sees_those_before_it(api: ApiClient) -> None:
    status = {"status": {"restartCount": 3}}
    first, second = await api.transaction(
        runtime("plc-1"), writes.merge(kinds.RUNTIMES, "plc-1", "edge", status, "status")
    )
    assert "status" not in first
    assert second["status"]["restartCount"] == 3
    assert await api.get(kinds.RUNTIMES, "plc-1", "edge") == second


async def test_a_created_object_keeps_its_status(api: ApiClient) -> None:
    creation = runtime("plc-1")
    await api.transaction(creation._replace(body={**creation.body, "status": {"restartCount": 3}}))
    assert (await api.get(kinds.RUNTIMES, "plc-1", "edge"))["status"]["restartCount"] == 3


async def test_none_takes_effect_if_there_is_an_object_that_must_not_exist(api: ApiClient) -> None:
    await api.transaction(runtime("plc-1"), unless=of_device("plc-2"))
    with pytest.raises(errors.AlreadyExistsError, match="plc-1"):
        await api.transaction(runtime("plc-2"), unless=of_device("plc-1"))
    assert await names_of(api) == ["plc-1"]


@pytest.mark.parametrize(
    "unless",
    [
        pytest.param(Selection("/apis/getedge.me/v1alpha1/runtimes", "spec.image=1"), id="field"),
        pytest.param(Selection("/apis/getedge.me/v1alpha1/namespaces/edge/runtimes/plc-1", ""), id="no-list"),
        pytest.param(Selection("/version", ""), id="no-resource"),
    ],
)
async def test_what_must_not_exist_is_a_list(api: ApiClient, unless: Selection) -> None:
    with pytest.raises(errors.InvalidError):
        await api.transaction(runtime("plc-1"), unless=unless)
    assert await names_of(api) == []


async def test_a_watch_delivers_each_write(api: ApiClient) -> None:
    listing = await api.snapshot(kinds.RUNTIMES)
    await api.transaction(runtime("plc-1"), runtime("plc-2"))
    events = api.watch(kinds.RUNTIMES, resource_version=listing.resource_version)
    assert [(await anext(events)).object["metadata"]["name"] for _ in range(2)] == ["plc-1", "plc-2"]
    await events.aclose()


@pytest.mark.parametrize(
    ("last", "error"),
    [
        pytest.param(runtime("plc-1"), errors.AlreadyExistsError, id="conflict"),
        pytest.param(runtime("plc-2", image=7), errors.InvalidError, id="invalid"),
        pytest.param(
            writes.creation(core_kinds.SECRETS, {"metadata": {"name": "one", "namespace": "edge"}}),
            errors.ApiError,
            id="forbidden",
        ),
        pytest.param(Write("DELETE", "/api/v1/namespaces/edge", {}), errors.InvalidError, id="method"),
        pytest.param(Write("POST", "/apis/getedge.me/v1alpha1/runtimes", {}), errors.ApiError, id="no-namespace"),
        pytest.param(Write("PATCH", "/version", {}), errors.ApiError, id="no-resource"),
    ],
)
async def test_if_one_write_is_refused_none_takes_effect(
    api: ApiClient, last: Write, error: type[errors.ApiError]
) -> None:
    with pytest.raises(error):
        await api.transaction(runtime("plc-1"), last)
    assert await names_of(api) == []


@pytest.mark.parametrize("user", ["admin", "controller"])
async def test_they_are_served_through_our_own_socket_only(server: ApiServer, user: str) -> None:
    found = await asyncio.to_thread(server.credentials, user)
    client = ApiClient(Endpoint(server.url, ca_file=found.ca, token=found.token))
    try:
        with pytest.raises(errors.ApiError) as refusal:
            await client.transaction(runtime("plc-1"))
    finally:
        await client.close()
    assert refusal.value.code == 405


async def test_their_number_is_bounded(api: ApiClient) -> None:
    for steps in ([], [runtime(f"plc-{number}") for number in range(9)]):
        with pytest.raises(errors.InvalidError, match="1 to 8 writes"):
            await api.transaction(*steps)


async def test_each_write_has_a_line_in_the_audit_log(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edge.audit"):
        await api.transaction(runtime("plc-1"), runtime("plc-2"))
    lines = [record.__dict__ for record in caplog.records if record.name == "edge.audit"]
    assert [(line["verb"], line["object"], line["code"]) for line in lines] == [
        ("create", "edge/plc-1", 201),
        ("create", "edge/plc-2", 201),
    ]
