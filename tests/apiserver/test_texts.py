"""The text of a stored object is what its writer and its watchers get, unless they are shown something else."""

from __future__ import annotations

import json

import aiohttp
import pytest

from controller.apiserver import texts
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAPS, session_of

STORED = {"kind": "Thing", "metadata": {"name": "größe"}}
FORMS = {"": {}, "PartialObjectMetadata": {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}}


def test_an_object_that_is_shown_as_it_is_stored_is_not_encoded_again() -> None:
    assert texts.of_shown(STORED, STORED, "stored") == "stored"


@pytest.mark.parametrize("text", ["", "stored"])
def test_an_object_that_is_shown_otherwise_is_encoded(text: str) -> None:
    shown = {**STORED, "kind": "Other"}
    assert json.loads(texts.of_shown(shown, STORED, text)) == shown


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


async def _sent(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> dict[str, object]:
    async with http.request(method, path, json=body) as answer:
        found: dict[str, object] = await answer.json()
        return found
