"""The API client against a server that answers what a test tells it to: every failure becomes one of our errors."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller import errors
from controller.resources import client as clients
from controller.resources import kinds
from controller.resources.client import ApiClient, Endpoint
from tests.support.certificates import Authority

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Speaks TLS, wants a client certificate, answers with ``handler`` and keeps what was asked."""

    def __init__(self, certificates: Authority) -> None:
        self.handler: Handler = self.ok
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.url = ""
        self._certificates = certificates
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        pair = self._certificates.server()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._certificates.ca))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.certificate, pair.key)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def ok(self, request: web.Request) -> web.StreamResponse:
        """An object with a name."""
        return web.json_response({"metadata": {"name": "plc-1"}})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(json.loads(await request.read() or b"null"))
        return await self.handler(request)


@pytest.fixture
async def server(certificates: Authority) -> AsyncIterator[Server]:
    """A started server."""
    server = Server(certificates)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api(server: Server, certificates: Authority) -> AsyncIterator[ApiClient]:
    """A client with a certificate and a token."""
    pair = certificates.agent("admin")
    api = ApiClient(Endpoint(server.url, certificates.ca, pair.certificate, pair.key, token="secret"))
    yield api
    await api.close()


def answering(status: int, body: Any) -> Handler:
    """A handler that always answers this."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())

    return handle


def streaming(*lines: Any) -> Handler:
    """A handler that streams these events, each a line."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        return response

    return handle


@pytest.mark.parametrize(
    ("call", "method", "path"),
    [
        (lambda a: a.get(kinds.RUNTIMES, "x", "edge"), "GET", "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes/x"),
        (lambda a: a.list(kinds.RUNTIMES), "GET", "/apis/getedge.me/v1alpha1/runtimes"),
        (
            lambda a: a.list(kinds.RUNTIMES, "edge", label_selector="a=b", field_selector="spec.deviceId=c"),
            "GET",
            "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes?labelSelector=a%3Db&fieldSelector=spec.deviceId%3Dc",
        ),
        (lambda a: a.create(kinds.NAMESPACES, {"metadata": {"name": "n"}}), "POST", "/api/v1/namespaces"),
        (
            lambda a: a.replace(kinds.SECRETS, {"metadata": {"name": "s", "namespace": "edge"}}),
            "PUT",
            "/api/v1/namespaces/edge/secrets/s",
        ),
        (
            lambda a: a.patch(kinds.RUNTIMES, "x", "edge", {}, subresource="status"),
            "PATCH",
            "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes/x/status",
        ),
        (lambda a: a.delete(kinds.NAMESPACES, "edge"), "DELETE", "/api/v1/namespaces/edge"),
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


@pytest.mark.parametrize(
    ("patch", "content_type"),
    [({"a": 1}, "application/merge-patch+json"), ([{"op": "remove", "path": "/a"}], "application/json-patch+json")],
)
async def test_the_form_of_a_patch_says_which_patch_it_is(
    server: Server, api: ApiClient, patch: Any, content_type: str
) -> None:
    await api.patch(kinds.RUNTIMES, "x", "edge", patch)
    assert server.requests[0].content_type == content_type
    assert server.bodies == [patch]


async def test_a_created_object_says_what_it_is(server: Server, api: ApiClient) -> None:
    await api.create(kinds.RUNTIMES, {"metadata": {"name": "x", "namespace": "edge"}})
    assert (server.bodies[0]["apiVersion"], server.bodies[0]["kind"]) == ("getedge.me/v1alpha1", "Runtime")


async def test_delete_with_a_uid_is_for_that_object_only(server: Server, api: ApiClient) -> None:
    await api.delete(kinds.RUNTIMES, "x", "edge", uid="u-1")
    assert server.bodies == [{"preconditions": {"uid": "u-1"}}]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"kind": "Status", "reason": "NotFound", "message": 'runtimes "x" not found'}, errors.NotFoundError),
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
        (404, b"", errors.NotFoundError),
    ],
)
async def test_a_failure_becomes_an_error_of_ours(
    server: Server, api: ApiClient, status: int, body: Any, error: type[errors.ApiError]
) -> None:
    server.handler = answering(status, body)
    with pytest.raises(error) as raised:
        await api.get(kinds.RUNTIMES, "x", "edge")
    assert type(raised.value) is error
    assert str(raised.value)
    if isinstance(body, dict):
        assert (str(raised.value), raised.value.code) == (body["message"], status)


async def test_a_server_that_breaks_off_is_unavailable(server: Server, api: ApiClient) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.handler = break_off
    with pytest.raises(errors.ApiUnavailableError):
        await api.create(kinds.RUNTIMES, {"metadata": {"name": "x", "namespace": "edge"}})


async def test_a_server_that_never_answers_is_unavailable(
    server: Server, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def be_silent(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    server.handler = be_silent
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.05)
    with pytest.raises(errors.ApiUnavailableError, match="did not answer"):
        await api.get(kinds.RUNTIMES, "x", "edge")
    never.set()


async def test_nobody_listening_is_unavailable(server: Server, api: ApiClient) -> None:
    await server.stop()
    with pytest.raises(errors.ApiUnavailableError, match=server.url):
        await api.get(kinds.RUNTIMES, "x", "edge")


async def test_missing_files_are_unavailable_until_they_are_there(
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


async def test_after_a_refusal_by_tls_the_certificates_are_read_anew(
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


async def test_a_watch_yields_events_until_the_server_ends_it(server: Server, api: ApiClient) -> None:
    added, bookmark = {"type": "ADDED", "object": {"a": 1}}, {"type": "BOOKMARK", "object": {}}
    server.handler = streaming(added, bookmark)
    watch = api.watch(kinds.RUNTIMES, "edge", resource_version="7", field_selector="metadata.name=x")
    assert [event async for event in watch] == [("ADDED", {"a": 1}), ("BOOKMARK", {})]
    query = server.requests[0].query
    assert (query["watch"], query["resourceVersion"], query["fieldSelector"]) == ("true", "7", "metadata.name=x")


async def test_an_event_of_megabytes_arrives_whole(server: Server, api: ApiClient) -> None:
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
async def test_a_watch_that_fails_raises_an_error_of_ours(
    server: Server, api: ApiClient, handler: Handler, error: type[errors.ApiError]
) -> None:
    server.handler = handler
    with pytest.raises(error):
        async for _ in api.watch(kinds.RUNTIMES, resource_version="1"):
            pass


async def test_watches_take_no_connection_away_from_requests(server: Server, api: ApiClient) -> None:
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
