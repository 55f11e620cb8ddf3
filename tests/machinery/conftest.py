"""A fake API server with scripted answers, a client for it, and a work queue."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from controller.machinery.client import ApiClient, Endpoint
from tests.machinery.passes import Passes, Queue, queue_of
from tests.support.certificates import Authority

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Speaks TLS with client certificates, answers with ``handler`` and records the requests."""

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
        """Answer with an object that has a name."""
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


@pytest.fixture
async def passes() -> Passes:
    """A recording reconcile function."""
    return Passes()


@pytest.fixture
async def queue(passes: Passes) -> AsyncIterator[Queue]:
    """A queue with two workers."""
    made = queue_of(passes.reconcile, workers=2)
    yield made
    await made.stop(0)


def answering(status: int, body: Any) -> Handler:
    """Return a handler that always gives this answer."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())

    return handle


def streaming(*lines: Any) -> Handler:
    """Return a handler that streams these events, one per line."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        return response

    return handle
