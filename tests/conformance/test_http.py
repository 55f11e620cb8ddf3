"""General HTTP behaviour: methods, timeouts, health checks, and the list of paths."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.conformance.conftest import Api, Session

MAPS = "/api/v1/namespaces/edge/configmaps"
Http = tuple[aiohttp.ClientSession, str]


@pytest.fixture
async def http(api: Api) -> AsyncIterator[Http]:
    """A session."""
    async with Session(api) as session:
        yield session


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/healthz", 200),
        ("HEAD", "/api/v1/namespaces/default", 405),
        ("OPTIONS", "/api/v1/namespaces", 405),
        ("PROPFIND", "/api/v1/namespaces", 405),
        ("PUT", MAPS, 405),
        ("POST", f"{MAPS}/one", 405),
        ("GET", "/api/v1/namespaces/edge/nodes", 404),
        ("GET", "/api/v2/namespaces", 404),
        ("GET", "/nowhere", 404),
    ],
)
async def test_unsupported_methods_and_unknown_paths(http: Http, method: str, path: str, status: int) -> None:
    async with http[0].request(method, http[1] + path) as answer:
        assert answer.status == status


@pytest.mark.parametrize(("timeout", "status"), [("1ns", 504), ("abc", 400), ("-1s", 200), ("30s", 200)])
async def test_a_client_can_set_a_timeout(http: Http, timeout: str, status: int) -> None:
    async with http[0].get(f"{http[1]}{MAPS}?timeout={timeout}") as answer:
        assert answer.status == status


async def test_verbose_health_lists_each_check(http: Http) -> None:
    async with http[0].get(f"{http[1]}/readyz?verbose") as answer:
        lines = (await answer.text()).splitlines()
    assert "[+]ping ok" in lines
    assert lines[-1] == "readyz check passed"
    async with http[0].get(f"{http[1]}/livez/ping") as answer:
        assert await answer.text() == "ok"
    async with http[0].get(f"{http[1]}/livez/nonsense") as answer:
        assert answer.status == 404


async def test_a_health_check_can_be_excluded(http: Http) -> None:
    async with http[0].get(f"{http[1]}/readyz?verbose&exclude=ping&exclude=nonsense") as answer:
        text = await answer.text()
    assert "[+]ping excluded: ok" in text
    assert 'warn: some health checks cannot be excluded: no matches for "nonsense"' in text


async def test_the_root_lists_all_paths(http: Http) -> None:
    async with http[0].get(f"{http[1]}/") as answer:
        paths = (await answer.json())["paths"]
    assert {"/api", "/api/v1", "/apis", "/apis/test.getedge.me", "/apis/test.getedge.me/v1", "/readyz"} <= set(paths)
    assert {"/livez/ping", "/readyz/shutdown", "/openapi/v3", "/version"} <= set(paths)


async def test_many_requests_on_one_connection(http: Http) -> None:
    for _ in range(20):
        async with http[0].get(f"{http[1]}/version") as answer:
            assert answer.status == 200


@pytest.mark.differs(
    "The API does not serve `/metrics`",
    "all metrics of a host are served at one address, `EDGE_HTTP_LISTEN`",
)
async def test_metrics_are_not_served_by_the_api(api: Api, http: Http) -> None:
    async with http[0].get(f"{http[1]}/metrics") as answer:
        assert answer.status == (404 if api.embedded else 200)
