"""Hostile queries and headers are rejected, cost little, and cause no errors in the log."""

from __future__ import annotations

import base64

import aiohttp
import pytest
from yarl import URL

from controller.apiserver.objects import representation
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS
from tests.apiserver.hostile import exchange, send

pytestmark = pytest.mark.usefixtures("no_errors_logged")


def continue_query(text: str) -> str:
    """The query of a list with a continue token made of this text."""
    return "limit=1&continue=" + base64.urlsafe_b64encode(text.encode()).decode()


SELECTORS = [
    "labelSelector=" + "%20" * 10_000,
    "labelSelector=" + "!a," * 10_000 + "b",
    "labelSelector=a%20in%20(" + "b," * 15_000 + ")",
    "fieldSelector=" + "a" * 32_000 + "%5C",
    "fieldSelector=" + "metadata.name!=a," * 1900,
    *map(continue_query, ("[" * 20_000, '[1e999,"a","b"]', '[[],"a","b"]', '{"a":1}', "1" * 5000)),
]


@pytest.mark.parametrize("query", SELECTORS, ids=lambda query: str(query)[:30])
async def test_the_cost_of_a_query_is_bounded(viewer: aiohttp.ClientSession, query: str) -> None:
    path = URL(f"/api/v1/namespaces?{query}", encoded=True)
    async with viewer.get(path) as answer:
        assert answer.status == (200 if query.endswith("%20") else 400)


async def test_an_overlong_timeout_is_rejected_before_parsing(server: ApiServer) -> None:
    for text in ("1" * 30_000, "1." * 15_000, "1h" * 15_000):
        assert await exchange(server, f"GET /healthz?timeout={text} HTTP/1.1\r\nHost: x\r\n".encode()) == 400


async def test_only_the_first_ranges_of_accept_are_parsed(server: ApiServer) -> None:
    refused = b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n"
    assert await exchange(server, refused + b"Accept: a%sb\r\n" % (b" " * 4000) * 25) == 403
    ranges = ",".join(["a/b"] * 2000 + ["application/yaml"])
    assert not representation.prefers_yaml(ranges)
    assert representation.prefers_yaml("application/yaml," + ranges)


async def test_long_or_numerous_headers_are_rejected(server: ApiServer) -> None:
    for fields in (b"X: %s\r\n" % (b"x" * 5000), b"X: x\r\n" * 40):
        assert await exchange(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + fields) == 400


async def test_a_malformed_token_is_unauthorized(server: ApiServer) -> None:
    for token in (b"\xff\xfe", b"\xc3\xa9", b"x" * 4000, b""):
        assert await exchange(server, b"GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % token) == 401


QUERIES = [
    "continue=" + base64.urlsafe_b64encode(token).decode()
    for token in (b"[" * 15_000, b"1", b'[1e999,"",""]', b'["1","",""]', b"[99999999999999999999,1,2]", b"\xff", b"{}")
]


async def test_malformed_queries_are_rejected(viewer: aiohttp.ClientSession) -> None:
    for query in (
        *QUERIES, "continue=%00", "limit=x", "limit=" + "9" * 5000, "resourceVersion=-1", "resourceVersion=%C2%B2",
        "labelSelector=a%3E" + "9" * 5000, "labelSelector=((((", "labelSelector=%00", "fieldSelector=a",
        "timeout=" + "9" * 5000, "watch=1&timeoutSeconds=x", "watch=1&resourceVersion=x", "watch=1&sendInitialEvents=x",
    ):  # fmt: skip
        async with viewer.get(URL(f"{CONFIG_MAPS}?{query}", encoded=True)) as answer:
            assert answer.status in (400, 422), query[:60]
    many = "&".join(f"p{number}=x" for number in range(2000))
    async with viewer.get(f"{CONFIG_MAPS}?{many}&watch=1&timeoutSeconds=-5&resourceVersion=1") as answer:
        assert answer.status == 200


async def test_malformed_field_managers_are_rejected_or_cleaned(admin: aiohttp.ClientSession) -> None:
    for manager, code in (("%0A", 422), ("%E2%80%AE", 422), ("x" * 129, 422), ("x" * 128, 201)):
        async with admin.post(URL(f"{CONFIG_MAPS}?fieldManager={manager}", encoded=True), json=CONFIG_MAP) as answer:
            assert answer.status == code
    assert await send(admin, f"{CONFIG_MAPS}/one", CONFIG_MAP, method="PUT", User_Agent="a\udcff\u202eb/1") == 200
    async with admin.get(f"{CONFIG_MAPS}/one") as answer:
        names = [entry["manager"] for entry in (await answer.json())["metadata"].get("managedFields", [])]
        assert all(name.isprintable() for name in names)
