"""Label and field selectors, valid and invalid (API reference: labels and selectors)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import Api, Session, widget
from tests.conformance.test_clients import PATH

LABELS = {"a": {"tier": "front", "rank": "1"}, "b": {"tier": "back", "rank": "20"}, "c": {"tier": ""}, "d": {}}
Http = tuple[aiohttp.ClientSession, str]


@pytest.fixture
async def http(api: Api) -> AsyncIterator[Http]:
    """A session on a server with labelled widgets."""
    async with Session(api) as (session, url):
        for name, labels in LABELS.items():
            made = widget(name)
            async with session.post(
                url + PATH, json={**made, "metadata": {**made["metadata"], "labels": labels}}
            ) as done:
                assert done.status == 201
        yield session, url + PATH


async def fetch(http: Http, **query: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a list."""
    async with http[0].get(http[1], params=query) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=front", "a"),
        ("tier==front", "a"),
        (" tier = front ", "a"),
        ("tier!=front", "bcd"),
        ("tier=", "c"),
        ("tier", "abc"),
        ("!tier", "d"),
        ("tier in (front, back)", "ab"),
        ("tier in (front,)", "ac"),
        ("tier in ()", "c"),
        ("tier notin(front,back)", "cd"),
        ("tier,tier notin (back)", "ac"),
        ("rank>1", "b"),
        ("rank<20", "a"),
        ("rank>1,tier=front", ""),
        ("", "abcd"),
    ],
)
async def test_label_selectors(http: Http, selector: str, names: str) -> None:
    status, found = await fetch(http, labelSelector=selector)
    assert status == 200, found
    assert "".join(item["metadata"]["name"] for item in found["items"]) == names


@pytest.mark.parametrize(
    "selector",
    ["=a", ",a", "a b", "a in b", "a in (b", "!a=b", "a!", "a>b", "a/b/c", "a=-b", "a=b c", "a=" + "b" * 64, "-a"],
)
async def test_an_invalid_label_selector_is_refused(http: Http, selector: str) -> None:
    status, body = await fetch(http, labelSelector=selector)
    assert (status, body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("metadata.name!=a", "bcd"),
        ("metadata.name!=a,metadata.name!=b,metadata.namespace=edge", "cd"),
        ("metadata.name=a\\,b", ""),
        ("metadata.namespace=other", ""),
    ],
)
async def test_field_selectors(http: Http, selector: str, names: str) -> None:
    status, found = await fetch(http, fieldSelector=selector)
    assert status == 200, found
    assert "".join(item["metadata"]["name"] for item in found["items"]) == names


@pytest.mark.parametrize("selector", ["metadata.name", "metadata.name>a", "metadata.uid=a", "=a"])
async def test_an_invalid_field_selector_is_refused(http: Http, selector: str) -> None:
    status, body = await fetch(http, fieldSelector=selector)
    assert (status, body["reason"]) == (400, "BadRequest")
