"""One HTTP request to a runtime: what is sent, what comes back, and what must never happen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from controller.errors import CommandError
from controller.node_api.node import File, HttpRequest, HttpResponse
from controller.nodes import bodies
from controller.nodes.proxy import BUFFER_BYTES, Proxy
from tests.support.certificates import Authority


class Runtime:
    """A runtime's web server; records the requests and answers with ``response``."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.response = web.Response(text="ok")
        self.silent = False
        self.released = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Record the request, then answer."""
        self.seen.append(
            {
                "method": request.method,
                "target": request.raw_path,
                "query": list(request.query.items()),
                "headers": dict(request.headers),
                "body": await request.read(),
            }
        )
        if self.silent:
            await self.released.wait()
        return self.response

    async def serve(self, context: ssl.SSLContext | None) -> tuple[web.AppRunner, int]:
        """Listen on loopback."""
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port: int = runner.addresses[0][1]
        return runner, port


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """The proxy under test."""
    made = Proxy()
    yield made
    await made.close()


@pytest.fixture
def runtime() -> Runtime:
    """The web server that answers."""
    return Runtime()


@pytest.fixture
async def request_(runtime: Runtime) -> AsyncIterator[HttpRequest]:
    """A plain GET to the runtime."""
    runner, port = await runtime.serve(None)
    yield HttpRequest("127.0.0.1", port, "http", "GET", "/api/status")
    runtime.released.set()
    await runner.cleanup()


async def test_any_certificate_of_a_runtime_is_accepted(
    proxy: Proxy, runtime: Runtime, certificates: Authority
) -> None:
    pair = certificates.server("somewhere.else.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    runner, port = await runtime.serve(context)
    try:
        answer = await proxy.send(HttpRequest("127.0.0.1", port, "https", "GET", "/"), 5)
    finally:
        await runner.cleanup()
    assert (answer.status_code, answer.body) == (200, "ok")


async def test_query_and_parameters_are_merged(proxy: Proxy, runtime: Runtime, request_: HttpRequest) -> None:
    path = "/a%2Fb/ü?x=1&x=2"
    await proxy.send(replace(request_, path=path, params={"x": ["3"], "y": ["a b&c"]}), 5)
    assert runtime.seen[0]["query"] == [("x", "1"), ("x", "2"), ("x", "3"), ("y", "a b&c")]
    assert runtime.seen[0]["target"].startswith("/a%2Fb/%C3%BC?")


@pytest.mark.parametrize("path", ["//elsewhere.test/x", "/@elsewhere.test/", "/:80/", "/..//elsewhere.test/"])
async def test_no_path_leads_to_another_host(proxy: Proxy, runtime: Runtime, request_: HttpRequest, path: str) -> None:
    await proxy.send(replace(request_, path=path), 5)
    assert runtime.seen[0]["headers"]["Host"] == f"127.0.0.1:{request_.port}"


@pytest.mark.parametrize("changed", [{"scheme": "http://127.0.0.1:{port}/"}, {"address": "127.0.0.1:{port}/"}], ids=str)
async def test_neither_scheme_nor_address_leads_to_another_host(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest, changed: dict[str, str]
) -> None:
    fields: dict[str, Any] = {name: value.format(port=request_.port) for name, value in changed.items()}
    with pytest.raises(CommandError, match="must be those of the runtime"):
        await proxy.send(replace(request_, **fields), 5)
    assert runtime.seen == []


async def test_the_proxy_sets_the_headers_of_the_connection(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest
) -> None:
    headers = {"host": "elsewhere.test", "Connection": "upgrade", "Content-Length": "9", "X-Token": "t", "Expect": "x"}
    await proxy.send(replace(request_, headers=headers), 5)
    seen = runtime.seen[0]["headers"]
    assert seen["Host"] == f"127.0.0.1:{request_.port}"
    assert seen["X-Token"] == "t"
    assert "Expect" not in seen
    assert seen.get("Connection") == "close"


@pytest.mark.parametrize(
    ("headers", "data", "content_type", "body"),
    [
        ({}, {"a": [1]}, "application/json", b'{"a": [1]}'),
        ({}, "text", "application/json", b'"text"'),
        ({"content-type": "text/plain"}, "text", "text/plain", b"text"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, {"a": "b c", "n": 1}, None, b"a=b+c&n=1"),
        ({"Content-Type": "application/merge-patch+json"}, {"a": None}, None, b'{"a": null}'),
    ],
)
async def test_data_is_json_unless_the_content_type_says_otherwise(
    proxy: Proxy,
    runtime: Runtime,
    request_: HttpRequest,
    headers: dict[str, str],
    data: Any,
    content_type: str | None,
    body: bytes,
) -> None:
    await proxy.send(replace(request_, method="POST", headers=headers, data=data), 5)
    assert runtime.seen[0]["body"] == body
    assert runtime.seen[0]["headers"]["Content-Type"] == (content_type or headers["Content-Type"])


async def test_files_are_sent_as_a_multipart_form(proxy: Proxy, runtime: Runtime, request_: HttpRequest) -> None:
    files = {"file": File("program.st", b"\0\1", "application/octet-stream")}
    posted = replace(request_, method="POST", headers={"Content-Type": "wrong"}, data={"a": "b", "n": 1}, files=files)
    await proxy.send(posted, 5)
    seen = runtime.seen[0]
    assert seen["headers"]["Content-Type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="a"\r\n\r\nb', b'name="n"\r\n\r\n1', b'filename="program.st"', b"\0\1"):
        assert part in seen["body"]


async def test_a_redirect_is_returned_not_followed(proxy: Proxy, runtime: Runtime, request_: HttpRequest) -> None:
    runtime.response = web.Response(status=302, headers={"Location": "http://elsewhere.test/"})
    answer = await proxy.send(request_, 5)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere.test/")
    assert len(runtime.seen) == 1


async def test_cookies_are_not_kept(proxy: Proxy, runtime: Runtime, request_: HttpRequest) -> None:
    runtime.response = web.Response(headers={"Set-Cookie": "a=b"})
    await proxy.send(request_, 5)
    runtime.response = web.Response()
    await proxy.send(request_, 5)
    assert "Cookie" not in runtime.seen[1]["headers"]


@pytest.mark.parametrize("error", ["refused", "silent", "late", "nonsense"])
async def test_a_missing_answer_is_an_error_that_says_why(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest, free_port: int, error: str
) -> None:
    runtime.silent = True
    cases = {
        "refused": (replace(request_, port=free_port), 5.0, "cannot be reached at port"),
        "silent": (request_, 0.05, "did not answer within"),
        "late": (request_, 0.0, "not sent"),
        "nonsense": (replace(request_, scheme="https"), 5.0, "reached|failed"),
    }
    request, seconds, sentence = cases[error]
    with pytest.raises(CommandError, match=sentence):
        await proxy.send(request, seconds)
    assert len(runtime.seen) <= 1


class Keeper:
    """A web server that keeps its connections open and answers ``requests`` requests on each."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.connections: list[list[bytes]] = []  # the heads of the requests on each

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on one connection, then close it without a word."""
        heads: list[bytes] = []
        self.connections.append(heads)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while len(heads) < self.requests:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            # Only once the next request is here: its sender cannot have noticed the end of the connection before.
            await reader.readuntil(b"\r\n\r\n")
        writer.close()


Keep = Callable[[int], Awaitable[tuple[Keeper, HttpRequest]]]


@pytest.fixture
async def keep(proxy: Proxy) -> AsyncIterator[Keep]:
    """Start a Keeper, and return it with a repeatable request to it."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(requests: int) -> tuple[Keeper, HttpRequest]:
            keeper = Keeper(requests)
            server = await stack.enter_async_context(await asyncio.start_server(keeper.serve, "127.0.0.1", 0))
            # The connections that it keeps end first: closing a server waits for them.
            stack.push_async_callback(proxy.close)
            port = server.sockets[0].getsockname()[1]
            return keeper, HttpRequest("127.0.0.1", port, "http", "GET", "/api/status", repeatable=True)

        yield start


async def test_repeatable_requests_share_a_connection(proxy: Proxy, keep: Keep) -> None:
    keeper, request = await keep(9)
    for _ in range(3):
        assert (await proxy.send(request, 5)).body == "ok"
    assert [len(heads) for heads in keeper.connections] == [3]


async def test_another_request_has_a_connection_of_its_own(proxy: Proxy, keep: Keep) -> None:
    keeper, request = await keep(9)
    for each in (request, replace(request, repeatable=False), request):
        await proxy.send(each, 5)
    assert [len(heads) for heads in keeper.connections] == [2, 1]
    assert b"Connection: close" in keeper.connections[1][0]


async def test_a_repeatable_request_on_a_connection_that_ends_is_sent_again(proxy: Proxy, keep: Keep) -> None:
    keeper, request = await keep(1)
    for _ in range(2):
        assert (await proxy.send(request, 5)).body == "ok"
    assert len(keeper.connections) == 2


async def test_on_a_kept_connection_acknowledgements_are_not_delayed(
    proxy: Proxy, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that waits for the acknowledgement of the head before it sends the body would take 40 ms longer."""
    immediate: list[int] = []
    received = ResponseHandler.data_received

    def noted(handler: ResponseHandler, data: bytes) -> None:
        assert handler.transport is not None
        connection = handler.transport.get_extra_info("socket")
        immediate.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))
        received(handler, data)

    monkeypatch.setattr(ResponseHandler, "data_received", noted)
    _, request = await keep(9)
    for _ in range(4):
        await proxy.send(request, 5)
    assert set(immediate) == {1}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_on_a_lost_connection_is_not_repeated(proxy: Proxy, method: str) -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CommandError, match="failed"):
            await proxy.send(HttpRequest("127.0.0.1", port, "http", method, "/"), 5)
    assert connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense secret\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: secret\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"secret" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nsecret",
        b"",
    ],
    ids=["status", "header", "long-header", "length", "chunk", "encoding", "nothing"],
)
async def test_an_error_quotes_no_data_of_request_or_response(proxy: Proxy, answer: bytes) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(misbehave, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        request = HttpRequest("127.0.0.1", port, "http", "GET", "/a?b=secret", {"c": ["secret"]}, {"X": "secret"})
        with pytest.raises(CommandError, match="failed") as caught:
            await proxy.send(request, 5)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(request)


@pytest.mark.parametrize("size", [bodies.LIMIT, bodies.LIMIT + 1])
async def test_a_body_beyond_the_limit_is_truncated(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest, size: int
) -> None:
    runtime.response = web.Response(text="x" * size)
    answer = await proxy.send(request_, 10)
    assert len(answer.body) == bodies.LIMIT
    assert answer.truncated is (size > bodies.LIMIT)


async def test_a_response_is_parsed_in_small_pieces(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    received = ResponseHandler.data_received

    def noted(handler: ResponseHandler, data: bytes) -> None:
        sizes.append(len(data))
        received(handler, data)

    monkeypatch.setattr(ResponseHandler, "data_received", noted)
    runtime.response = web.Response(body=b"x" * (4 << 20))
    assert (await proxy.send(request_, 10)).truncated
    assert 0 < max(sizes) <= 2 * BUFFER_BYTES  # the kernel doubles the value of SO_RCVBUF (socket(7))


async def test_a_decompression_bomb_is_truncated(proxy: Proxy, runtime: Runtime, request_: HttpRequest) -> None:
    runtime.response = web.Response(body=b"\0" * (64 << 20))
    runtime.response.enable_compression(web.ContentCoding.gzip)
    answer = await proxy.send(request_, 10)
    assert answer.truncated
    assert len(json.dumps(answer.body)) < 900_000


async def test_a_response_has_its_headers_except_those_of_the_connection(
    proxy: Proxy, runtime: Runtime, request_: HttpRequest
) -> None:
    runtime.response = web.json_response({"a": 1}, status=418, headers={"X-A": "b"})
    answer = await proxy.send(request_, 5)
    assert isinstance(answer, HttpResponse)
    assert (answer.status_code, answer.body) == (418, {"a": 1})
    assert answer.content_type == "application/json; charset=utf-8"
    assert answer.headers["X-A"] == "b"
    assert not {"Connection", "Content-Length", "Transfer-Encoding"} & set(answer.headers)
