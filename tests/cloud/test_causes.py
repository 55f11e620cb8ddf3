"""Connection errors are explained, tested against servers that really fail in these ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.cloud.identity import Identity
from controller.localcloud.server import Cloud
from tests.cloud.conftest import AGENT
from tests.support.certificates import Authority, Pair
from tests.support.links import RunningLink
from tests.support.wire import WireCloud

Load = Callable[[], Identity]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def _cause(url: str, load: Load, seconds: float = 20) -> str:
    async with RunningLink(url, load, connect_seconds=seconds) as agent:
        return await agent.failed()


@asynccontextmanager
async def _server(serve: Serve, pair: Pair | None) -> AsyncIterator[str]:
    """Run a server that calls ``serve`` for each connection, over TLS if it has a certificate. Yields its URL."""
    context = None
    if pair:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


@contextmanager
def _strict_server(authority: Authority, version: ssl.TLSVersion) -> Iterator[str]:
    """Run a server that sends TLS alerts to refused clients, which asyncio's does not. Yields its URL."""
    pair = authority.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    context.load_cert_chain(pair.certificate, pair.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as encrypted:
                    with contextlib.suppress(ssl.SSLError):
                        encrypted.do_handshake()
                    while socket.socket.recv(encrypted, 65536):
                        pass  # closing with unread data would reset the connection and lose the alert

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _unchecked(pair: Pair, authority: Authority) -> Load:
    """An identity with an unchecked certificate, like one that expires or is revoked while in use."""

    def load() -> Identity:
        context = ssl.create_default_context(cafile=authority.ca)
        context.load_cert_chain(pair.certificate, pair.key)
        return Identity(AGENT, datetime.now(UTC), context)

    return load


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("spoiled", "alert"),
    [
        (lambda authority: authority.foreign(AGENT), "UNKNOWN_CA"),
        (lambda authority: authority.expired(AGENT), "CERTIFICATE_EXPIRED"),
    ],
    ids=["foreign", "expired"],
)
async def test_refused_client_certificate(
    certificates: Authority, version: ssl.TLSVersion, spoiled: Callable[[Authority], Pair], alert: str
) -> None:
    with _strict_server(certificates, version) as url:
        cause = await _cause(url, _unchecked(spoiled(certificates), certificates))
    assert cause == f"{url} refuses the client certificate ({alert}): ask the cloud for a new one"


@pytest.mark.parametrize(
    ("starts", "ends", "sentence"),
    [(-30, -1, "has expired, or this host's clock is wrong"), (1, 30, "this host's clock is probably wrong, set it")],
    ids=["expired", "not yet valid"],
)
async def test_server_certificate_outside_its_validity(
    certificates: Authority, load_wire_identity: Load, starts: int, ends: int, sentence: str
) -> None:
    now = datetime.now(UTC)
    pair = certificates.server_between(now + timedelta(days=starts), now + timedelta(days=ends))
    async with _server(_close, pair) as url:
        assert sentence in await _cause(url, load_wire_identity)


async def test_server_certificate_for_another_name(certificates: Authority, load_wire_identity: Load) -> None:
    async with _server(_close, certificates.server("other.example")) as url:
        assert "is issued for another name: correct EDGE_CLOUD_URL" in await _cause(url, load_wire_identity)


async def test_server_certificate_of_an_untrusted_authority(certificates: Authority, load_wire_identity: Load) -> None:
    other = Authority(certificates.folder / "other")
    async with _server(_close, other.server()) as url:
        assert "is signed by an untrusted CA: set EDGE_CLOUD_CA" in await _cause(url, load_wire_identity)


async def test_unresolvable_host_name(load_wire_identity: Load) -> None:
    cause = await _cause("https://cloud.invalid:1", load_wire_identity)
    assert cause == "the name in https://cloud.invalid:1 cannot be resolved: check this host's DNS and EDGE_CLOUD_URL"


async def test_closed_port(load_wire_identity: Load) -> None:
    assert "refuses connections" in await _cause("https://localhost:1", load_wire_identity)


async def _close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _bad_gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    writer.close()


async def _answer_in_plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass
    writer.close()


@pytest.mark.parametrize(
    ("serve", "encrypted", "sentence"),
    [
        (_close, True, "closes the connection without an answer; it may refuse the client certificate"),
        (_bad_gateway, True, "answers with HTTP status 502 instead of a WebSocket"),
        (_answer_in_plain_http, False, "does not speak TLS"),
    ],
    ids=["hang up", "bad gateway", "plain HTTP"],
)
async def test_endpoint_that_is_not_the_cloud(
    certificates: Authority, load_wire_identity: Load, serve: Serve, encrypted: bool, sentence: str
) -> None:
    async with _server(serve, certificates.server() if encrypted else None) as url:
        assert sentence in await _cause(url, load_wire_identity)


@pytest.mark.parametrize("encrypted", [True, False], ids=["after TLS", "before TLS"])
async def test_endpoint_that_never_answers(certificates: Authority, load_wire_identity: Load, encrypted: bool) -> None:
    async with _server(_never_answer, certificates.server() if encrypted else None) as url:
        assert "does not answer in time" in await _cause(url, load_wire_identity, seconds=0.3)


async def test_cloud_that_refuses_the_agent(wire: WireCloud, load_wire_identity: Load) -> None:
    wire.acceptance = '44{"message":"agent is blocked"}'
    assert await _cause(wire.url, load_wire_identity) == f"the cloud refuses agent {AGENT}: agent is blocked"


async def test_cloud_that_never_accepts_the_agent(wire: WireCloud, load_wire_identity: Load) -> None:
    wire.acceptance = ""
    assert "does not answer in time" in await _cause(wire.url, load_wire_identity, seconds=0.3)


async def test_local_cloud_refuses_a_client_certificate_of_another_authority(
    cloud: Cloud, certificates: Authority
) -> None:
    folder = await cloud.enroll(AGENT)
    pair = certificates.agent(AGENT)
    cause = await _cause(cloud.url, lambda: Identity.load(pair.certificate, pair.key, folder / "ca.crt"))
    assert "client certificate" in cause
    assert not cloud.connected()
