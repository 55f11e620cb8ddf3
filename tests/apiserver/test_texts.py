"""The text of a stored object is what its writer and its watchers get, unless they are shown something else."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from controller.apiserver import texts
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAPS, session_of

STORED = {"kind": "Thing", "metadata": {"name": "größe"}}
FORMS = {"": {}, "PartialObjectMetadata": {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}}


def test_an_object_that_is_shown_as_it_is_stored_is_not_encoded_again() -> None:
    assert texts.of(texts.Stored(STORED, "stored")) == "stored"


def test_an_object_that_is_shown_otherwise_is_encoded() -> None:
    shown = {**texts.Stored(STORED, "stored"), "kind": "Other"}
    assert json.loads(texts.of(shown)) == shown


def test_a_selection_parses_only_what_is_reached() -> None:
    contents = {("edge", "a"): '{"a":1}', ("edge", "b"): '{"b":1}', ("other", "a"): "damaged"}
    found = texts.Selection([texts.Kept(place, 1, text) for place, text in contents.items()])
    assert len(found) == 3
    assert next(iter(found.after(("edge", "a")))) == {"b": 1}
    assert next(iter(found)).text == '{"a":1}'


def test_a_large_object_is_kept_parsed() -> None:
    small, large = ({"a": "x" * length} for length in (10, texts.LARGE))
    assert not texts.kept(("edge", "a"), 1, small).is_large
    kept = texts.kept(("edge", "a"), 1, large)
    assert kept.is_large
    assert kept.parsed() is kept.parsed() == large
    assert json.loads(kept.text) == large


@pytest.mark.parametrize("length", [10, texts.LARGE])
def test_what_is_kept_has_the_text_that_was_written(length: int) -> None:
    item = {"a": "größe" * length}
    assert texts.kept(("", "a"), 1, item).text == texts.encoded(item)
    assert texts.kept(("", "a"), 1, item).parsed() == item


@pytest.mark.parametrize("first", ["apiVersion", "metadata"])
async def test_a_list_has_what_a_get_returns(server: ApiServer, first: str) -> None:
    parts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "größe"}}
    body = {first: parts[first], **parts}
    async with session_of(server, "admin") as http:
        made = await _sent(http, "POST", CONFIG_MAPS, body)
        for query in ("", "?limit=1", "?fieldSelector=metadata.name=one", f"?resourceVersion={_version(made)}&limit=5"):
            listed: Any = await _sent(http, "GET", f"{CONFIG_MAPS}{query}")
            assert made in listed["items"] or "limit=1" in query


@pytest.mark.parametrize("form", FORMS)
async def test_writers_and_watchers_get_the_object_that_is_stored(server: ApiServer, form: str) -> None:
    body, path = {"metadata": {"name": "one"}, "data": {"a": "größe"}}, f"{CONFIG_MAPS}/one"
    async with session_of(server, "admin") as http:
        http.headers.update(FORMS[form])
        async with http.get(f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name=one") as watch:
            made = await _sent(http, "POST", CONFIG_MAPS, body)
            changed = await _sent(http, "PUT", path, {**body, "data": {"a": "b"}})
            events = [json.loads(await watch.content.readline()) for _ in range(2)]
        assert await _sent(http, "GET", path) == changed
    assert events == [{"type": "ADDED", "object": made}, {"type": "MODIFIED", "object": changed}]
    assert changed["kind"] == (form or "ConfigMap")
    assert ("data" in changed) is (not form)


def _version(item: Any) -> str:
    return str(item["metadata"]["resourceVersion"])


async def _sent(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> dict[str, object]:
    async with http.request(method, path, json=body) as answer:
        found: dict[str, object] = await answer.json()
        return found
