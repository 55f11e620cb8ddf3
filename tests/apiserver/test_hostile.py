"""What who means harm may send: it is refused, costs little, and leaves no fault in the log."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAPS, Clock, acting, handed_out

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MAY_THEY = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
YAML, JSON = "application/yaml", "application/json"


@pytest.fixture(autouse=True)
def no_fault(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing here is the server's fault."""
    yield
    faults = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not faults


@pytest.fixture
async def viewer(server: ApiServer, tmp_path: Path, clock: Clock) -> AsyncIterator[aiohttp.ClientSession]:
    """Who may read."""
    async with handed_out(tmp_path, "viewer", 60, clock) as made:
        yield made


@pytest.fixture
async def admin(server: ApiServer, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Who may everything."""
    async with acting(server, tmp_path, "admin") as made:
        yield made


async def sent(
    http: aiohttp.ClientSession, path: str, body: Any, kind: str = JSON, method: str = "POST", **headers: str
) -> int:
    """The status of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with http.request(method, path, data=data, headers=given) as answer:
        await answer.read()
        return answer.status


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in range(98, 107)
)


async def test_aliases_that_would_become_gigabytes_are_refused(viewer: aiohttp.ClientSession) -> None:
    assert await sent(viewer, WHOAMI, BOMB, YAML) == 400


async def test_a_question_is_short(viewer: aiohttp.ClientSession) -> None:
    for path in (WHOAMI, MAY_I, RULES):
        assert await sent(viewer, path, b'{"a":"' + b"x" * (64 << 10) + b'"}') == 413
        assert await sent(viewer, path, b"[" * 60_000) == 400


async def test_nobody_is_refused_before_a_body_is_read(server: ApiServer) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
        http.post(server.url + WHOAMI, data=BOMB, headers={"Content-Type": YAML}) as answer,
    ):
        assert answer.status == 403


async def test_a_compressed_body_is_not_unpacked(admin: aiohttp.ClientSession) -> None:
    body = gzip.compress(b" " * (64 << 20))
    for encoding in ("gzip", "deflate", "br", "zstd", "nonsense"):
        assert await sent(admin, CONFIG_MAPS, body, Content_Encoding=encoding) == 415


ODD: tuple[Any, ...] = (1, "x", [1])
VERB = {"resourceAttributes": {"verb": "get"}}
REVIEWS: list[Any] = [
    *ODD, None,
    *({"spec": value} for value in ODD),
    *({"metadata": value, "spec": {}} for value in ODD),
    *({"spec": {"resourceAttributes": value}} for value in (*ODD, {"verb": 1}, {"name": {}})),
    *({"spec": {"nonResourceAttributes": value, "user": "x"}} for value in (*ODD, {"path": ["/"]})),
    *({"spec": {**VERB, "groups": value}} for value in (*ODD, [None], {"a": 1})),
    *({"spec": {**VERB, "user": value}} for value in (1, [1])),
    *({"spec": {"token": value, "namespace": value}} for value in (1, [1])),
]  # fmt: skip


async def test_an_odd_question_is_refused(admin: aiohttp.ClientSession) -> None:
    for path in (MAY_THEY, MAY_I, RULES, TOKENS, WHOAMI):
        assert {await sent(admin, path, review) for review in REVIEWS} == {400}


async def test_an_answer_holds_no_more_than_the_question_has(viewer: aiohttp.ClientSession) -> None:
    async with viewer.post(WHOAMI, json={"more": "x", "spec": {"more": "x"}}) as answer:
        assert "more" not in await answer.text()


async def test_an_odd_token_is_nobodys(server: ApiServer) -> None:
    for token in (b"\xff\xfe", b"\xc3\xa9", b"x" * 20_000, b""):
        assert await exchange(server, b"GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % token) == 401


async def exchange(server: ApiServer, head: bytes) -> int:
    """The status of what is sent as it is."""
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, port, ssl=insecure())
    try:
        writer.write(head + b"Connection: close\r\n\r\n")
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def insecure() -> ssl.SSLContext:
    """TLS with whoever answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
