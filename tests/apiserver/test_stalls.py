"""Slow work runs outside the event loop, so that other requests are served meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.apiserver import bounds, texts
from controller.apiserver.kinds.core import CONFIG_MAPS
from controller.apiserver.objects import admission, request_options
from controller.apiserver.objects.representation import Form
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs import presentation, watches
from controller.apiserver.verbs.watches import Watch
from controller.apiserver.verbs.writing import ResourceRef
from controller.apiserver.worker import Worker
from tests.apiserver.conftest import CONFIG_MAPS as PATH
from tests.apiserver.conftest import session_of
from tests.apiserver.storage.test_store import put

SMALL = {"metadata": {"name": "one"}, "data": {"a": "b"}}
LARGE = {"metadata": {"name": "large"}, "data": {f"key-{number}": "x" for number in range(2 * bounds.LARGE_VALUES)}}
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
WRITES = {
    "create": ("POST", PATH, "application/json", {"metadata": {"name": "two"}}),
    "create with a name of the server's": ("POST", PATH, "application/json", {"metadata": {"generateName": "two-"}}),
    "dry run": ("POST", f"{PATH}?dryRun=All", "application/json", {"metadata": {"name": "two"}}),
    "update": ("PUT", f"{PATH}/one", "application/json", {**SMALL, "data": {"a": "c"}}),
    "patch": ("PATCH", f"{PATH}/one", MERGE, {"data": {"a": "c"}}),
    "apply": ("PATCH", f"{PATH}/two?fieldManager=me", APPLY, {"apiVersion": "v1", "kind": "ConfigMap"}),
}


class Gate:
    """Holds up work until another request has been served."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._answered = threading.Event()

    def before(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the work so that it waits for the other request."""

        def held(*given: Any, **named: Any) -> Any:
            self._loop.call_soon_threadsafe(self._begun.set)
            assert self._answered.wait(10), "no other request was served meanwhile"
            return work(*given, **named)

        return held

    async def request_during(self, http: aiohttp.ClientSession, method: str, path: str, **given: Any) -> int:
        """Start a request that triggers the work, serve another one during it, return the status of the first."""
        asked = asyncio.create_task(status(http, method, path, **given))
        await self._begun.wait()
        assert await status(http, "GET", "/healthz") == 200
        self._answered.set()
        return await asked


async def status(http: aiohttp.ClientSession, method: str, path: str, **given: Any) -> int:
    """Send a request; return its status after the first bytes of the body."""
    async with http.request(method, path, **given) as answer:
        await answer.content.readany()
        return answer.status


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    """An administrator's session on a server with a small and a large object."""
    async with session_of(server, "admin") as made:
        for body in (SMALL, LARGE):
            assert await status(made, "POST", PATH, json=body) == 201
        yield made


@pytest.mark.parametrize("what", WRITES)
async def test_other_requests_are_served_while_an_object_is_built(
    admin: aiohttp.ClientSession, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, (method, path, kind, body) = Gate(), WRITES[what]
    monkeypatch.setattr(admission, "_shaped", gate.before(admission._shaped))
    monkeypatch.setattr(admission, "admit", gate.before(admission.admit))
    assert await gate.request_during(admin, method, path, json=body, headers={"Content-Type": kind}) in (200, 201)


@pytest.mark.parametrize("path", ["", "/large", "/large?watch=1"])
async def test_other_requests_are_served_while_a_large_object_is_converted(
    admin: aiohttp.ClientSession, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    for module, name in ((presentation, "shown"), (presentation, "listed"), (watches, "listed")):
        monkeypatch.setattr(module, name, gate.before(getattr(presentation, name)))
    assert await gate.request_during(admin, "GET", f"{PATH}{path}") == 200


async def test_small_objects_are_converted_in_the_event_loop(
    admin: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, found, shown = threading.get_ident(), list[int](), presentation.shown

    def noted(*given: Any) -> Any:
        found.append(threading.get_ident())
        return shown(*given)

    monkeypatch.setattr(presentation, "shown", noted)
    assert await status(admin, "GET", f"{PATH}/one") == 200
    assert found == [loop]


async def test_other_tasks_run_between_two_events_of_a_watch(tmp_path: Path) -> None:
    store, turns, lines = Store(tmp_path / "objects.db"), 0, 0
    await store.open()
    for name in ("a", "b", "c"):
        await put(store, name)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    things = ResourceRef(replace(CONFIG_MAPS, plural="things"), "edge")
    watch = Watch(store, things, lambda _: True, Form(), Worker(), asyncio.Lock())
    async for _ in watch.events(request_options.of_watch({"timeoutSeconds": "1"})):
        lines += 1
        assert turns >= lines
    running.cancel()
    await store.close()
    assert lines == 3


@pytest.mark.parametrize(
    ("values", "large"),
    [
        ([], False),
        ([SMALL] * 3, False),
        ([LARGE], True),
        ([SMALL] * (bounds.LARGE_VALUES + 1), True),
        ([{"a": [[{}] * bounds.LARGE_VALUES]}], True),
        ([{"a": ["x" * (bounds.LARGE_CHARACTERS + 1)]}], True),
        ([{"a": "x" * 1000}] * 100, False),
    ],
)
def test_large_objects_have_many_values_or_characters(values: list[Any], large: bool) -> None:
    assert bounds.are_large(values) is large


@pytest.mark.parametrize(("text", "large"), [("x" * texts.LARGE, False), ("x" * (texts.LARGE + 1), True)])
def test_an_object_with_a_known_text_is_judged_by_its_length(text: str, large: bool) -> None:
    assert bounds.is_large(texts.Stored({}, text)) is large


@pytest.mark.parametrize(("item", "large"), [(SMALL, False), (LARGE, True)])
def test_an_object_without_a_known_text_is_judged_by_its_values(item: Any, large: bool) -> None:
    assert bounds.is_large(item) is large
