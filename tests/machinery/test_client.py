"""The API client against a fake server: requests, and the mapping of failures to our errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller import errors
from controller.api import kinds
from controller.machinery import client as clients
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, Endpoint
from tests.machinery.conftest import Server, answering
from tests.support.api_server import serving
from tests.support.certificates import Authority

NOT_FOUND = {
    "kind": "Status",
    "reason": "NotFound",
    "message": 'runtimes.getedge.me "x" not found',
    "details": {"name": "x", "group": "getedge.me", "kind": "runtimes"},
}


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (lambda a: a.get(kinds.RUNTIMES, "x", "edge"), "GET", "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes/x"),
        (lambda a: a.list(kinds.RUNTIMES), "GET", "/apis/getedge.me/v1alpha1/runtimes?limit=200"),
        (
            lambda a: a.list(kinds.RUNTIMES, "edge", label_selector="a=b", field_selector="spec.deviceId=c"),
            "GET",
            "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes?labelSelector=a%3Db&fieldSelector=spec.deviceId%3Dc&limit=200",
        ),
        (lambda a: a.create(core_kinds.NAMESPACES, {"metadata": {"name": "n"}}), "POST", "/api/v1/namespaces"),
        (
            lambda a: a.replace(core_kinds.SECRETS, {"metadata": {"name": "s", "namespace": "edge"}}),
            "PUT",
            "/api/v1/namespaces/edge/secrets/s",
        ),
        (
            lambda a: a.patch(kinds.RUNTIMES, "x", "edge", {}, subresource="status"),
            "PATCH",
            "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes/x/status",
        ),
        (lambda a: a.delete(core_kinds.NAMESPACES, "edge"), "DELETE", "/api/v1/namespaces/edge"),
    ],
)
async def test_a_verb_is_one_request(
    server: Server, api: ApiClient, call: Callable[[ApiClient], Awaitable[Any]], method: str, path: str
) -> None:
    await call(api)
    request = server.requests[0]
    writes = method in ("POST", "PUT", "PATCH")
    assert (request.method, request.raw_path) == (method, path + ("?fieldManager=edge-controller" if writes else ""))
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["User-Agent"] == "edge-controller"


async def test_a_list_is_read_in_pages(server: Server, api: ApiClient) -> None:
    one, two, three = ({"metadata": {"name": name}} for name in "abc")
    parts: dict[str, Any] = {"": ([one, two], "next"), "next": ([three], "last"), "last": ([], "")}

    async def part(request: web.Request) -> web.StreamResponse:
        items, token = parts[request.query.get("continue", "")]
        return web.json_response({"metadata": {"continue": token}, "items": items})

    server.handler = part
    assert await api.list(kinds.RUNTIMES, label_selector="a=b") == [one, two, three]
    assert {request.query["labelSelector"] for request in server.requests} == {"a=b"}
    assert await api.extracts(kinds.RUNTIMES, lambda item: item["metadata"]["name"]) == ["a", "b", "c"]


async def test_a_list_with_an_expired_continue_token_is_read_in_one_request(server: Server, api: ApiClient) -> None:
    one, two = ({"metadata": {"name": name}} for name in "ab")

    async def part(request: web.Request) -> web.StreamResponse:
        if "continue" in request.query:
            return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)
        token = "next" if "limit" in request.query else ""
        return web.json_response({"metadata": {"continue": token}, "items": [one] if token else [one, two]})

    server.handler = part
    assert await api.list(kinds.RUNTIMES) == [one, two]


@pytest.mark.parametrize(
    ("patch", "content_type"),
    [({"a": 1}, "application/merge-patch+json"), ([{"op": "remove", "path": "/a"}], "application/json-patch+json")],
)
async def test_the_type_of_a_patch_selects_its_content_type(
    server: Server, api: ApiClient, patch: Any, content_type: str
) -> None:
    await api.patch(kinds.RUNTIMES, "x", "edge", patch)
    assert server.requests[0].content_type == content_type
    assert server.bodies == [patch]


async def test_a_created_object_has_api_version_and_kind(server: Server, api: ApiClient) -> None:
    await api.create(kinds.RUNTIMES, {"metadata": {"name": "x", "namespace": "edge"}})
    assert (server.bodies[0]["apiVersion"], server.bodies[0]["kind"]) == ("getedge.me/v1alpha1", "Runtime")


async def test_delete_with_a_uid_has_a_precondition(server: Server, api: ApiClient) -> None:
    await api.delete(kinds.RUNTIMES, "x", "edge", uid="u-1")
    assert server.bodies == [{"preconditions": {"uid": "u-1"}}]


async def test_delete_ignores_that_there_is_no_such_object(server: Server, api: ApiClient) -> None:
    server.handler = answering(404, NOT_FOUND)
    await api.delete(kinds.RUNTIMES, "x", "edge")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, NOT_FOUND, errors.NotFoundError),
        (404, {"kind": "Status", "reason": "NotFound", "message": "no such resource"}, errors.NotServedError),
        (409, {"kind": "Status", "reason": "AlreadyExists", "message": "exists"}, errors.AlreadyExistsError),
        (409, {"kind": "Status", "reason": "Conflict", "message": "modified"}, errors.ConflictError),
        (422, {"kind": "Status", "reason": "Invalid", "message": "spec.image: Required value"}, errors.InvalidError),
        (400, {"kind": "Status", "reason": "BadRequest", "message": "bad"}, errors.InvalidError),
        (410, {"kind": "Status", "reason": "Expired", "message": "too old"}, errors.ExpiredError),
        (429, {"kind": "Status", "reason": "TooManyRequests", "message": "later"}, errors.ApiUnavailableError),
        (503, b"<html>bad gateway</html>", errors.ApiUnavailableError),
        (500, ["not", "a", "status"], errors.ApiUnavailableError),
        (403, {"kind": "Status", "reason": "Forbidden", "message": "no"}, errors.ApiError),
        (200, b"no json", errors.ApiUnavailableError),
        (200, ["not", "an", "object"], errors.ApiUnavailableError),
        (404, b"404 page not found", errors.NotServedError),
        (404, b"", errors.NotServedError),
    ],
)
async def test_a_failure_is_mapped_to_an_error(
    server: Server, api: ApiClient, status: int, body: Any, error: type[errors.ApiError]
) -> None:
    server.handler = answering(status, body)
    with pytest.raises(error) as raised:
        await api.get(kinds.RUNTIMES, "x", "edge")
    assert type(raised.value) is error
    assert str(raised.value)
    if isinstance(body, dict):
        assert (str(raised.value), raised.value.code) == (body["message"], status)


async def test_a_kind_that_the_api_does_not_serve_says_nothing_about_its_objects(tmp_path: Path) -> None:
    async with serving(tmp_path) as embedded:
        client = ApiClient(Endpoint(embedded.url, socket=embedded.socket))
        with pytest.raises(errors.NotServedError):
            await client.get(kinds.RUNTIMES, "plc-1", "edge")
        with pytest.raises(errors.NotServedError):
            await client.list(kinds.RUNTIMES)
        with pytest.raises(errors.NotFoundError):
            await client.get(core_kinds.NAMESPACES, "none")
        await client.close()


async def test_a_broken_connection_means_unavailable(server: Server, api: ApiClient) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.handler = break_off
    with pytest.raises(errors.ApiUnavailableError):
        await api.create(kinds.RUNTIMES, {"metadata": {"name": "x", "namespace": "edge"}})


async def test_a_timeout_means_unavailable(server: Server, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def be_silent(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    server.handler = be_silent
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.05)
    with pytest.raises(errors.ApiUnavailableError, match="did not answer"):
        await api.get(kinds.RUNTIMES, "x", "edge")
    never.set()


async def test_a_refused_connection_means_unavailable(server: Server, api: ApiClient) -> None:
    await server.stop()
    with pytest.raises(errors.ApiUnavailableError, match=server.url):
        await api.get(kinds.RUNTIMES, "x", "edge")


async def test_missing_files_mean_unavailable_until_they_exist(
    server: Server, certificates: Authority, tmp_path: Path
) -> None:
    pair = certificates.agent("admin")
    missing = tmp_path / "later.crt"
    api = ApiClient(Endpoint(server.url, certificates.ca, missing, pair.key))
    with pytest.raises(errors.ApiUnavailableError):
        await api.get(kinds.RUNTIMES, "x", "edge")
    missing.write_bytes(pair.certificate.read_bytes())
    assert await api.get(kinds.RUNTIMES, "x", "edge") == {"metadata": {"name": "plc-1"}}
    await api.close()


async def test_certificates_are_read_again_after_a_tls_error(
    server: Server, certificates: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority(tmp_path / "other").ca.read_bytes())
    pair = certificates.agent("admin")
    api = ApiClient(Endpoint(server.url, ca, pair.certificate, pair.key))
    with pytest.raises(errors.ApiUnavailableError, match="certificate"):
        await api.get(kinds.RUNTIMES, "x", "edge")
    ca.write_bytes(certificates.ca.read_bytes())
    assert await api.get(kinds.RUNTIMES, "x", "edge")
    await api.close()


async def test_a_token_file_is_read_for_every_request(server: Server, certificates: Authority, tmp_path: Path) -> None:
    pair, token = certificates.agent("admin"), tmp_path / "token"
    api = ApiClient(Endpoint(server.url, certificates.ca, pair.certificate, pair.key, token_file=token))
    for text in ("first\n", "second\n"):
        token.write_text(text)
        await api.get(kinds.RUNTIMES, "x", "edge")
    await api.close()
    assert [r.headers["Authorization"] for r in server.requests] == ["Bearer first", "Bearer second"]


async def test_one_connection_serves_many_requests(server: Server, api: ApiClient) -> None:
    for _ in range(3):
        await api.get(kinds.RUNTIMES, "x", "edge")
    assert len({id(request.transport) for request in server.requests}) == 1


async def test_a_request_whose_connection_is_closed_before_it_is_sent_is_an_outage(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closing(_: Endpoint) -> dict[str, str]:
        await api.close()
        return {}

    monkeypatch.setattr(Endpoint, "headers", closing)
    with pytest.raises(errors.ApiUnavailableError, match="closed"):
        await api.list(kinds.RUNTIMES)


async def read_log(api: ApiClient, **params: str) -> list[bytes]:
    return [part async for part in await api.text(core_kinds.PODS, "plc-1-0", "edge", "log", params)]


def silent_after(first: asyncio.Event) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that sends one part of a log, and the next one after the event."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one")
        await first.wait()
        await response.write(b"two")
        return response

    return handle


async def test_a_log_that_stops_in_the_middle_is_an_outage(
    server: Server, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.handler = silent_after(asyncio.Event())
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.5)
    with pytest.raises(errors.ApiUnavailableError, match="cannot read the log of plc-1-0"):
        await read_log(api, follow="false")


async def test_a_log_that_is_followed_may_be_silent(
    server: Server, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = asyncio.Event()
    server.handler = silent_after(more)
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.5)
    asyncio.get_running_loop().call_later(1.0, more.set)
    assert b"".join(await read_log(api, follow="true")) == b"onetwo"
