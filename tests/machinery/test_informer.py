"""The informer lists, watches from there on, and lists again after it lost the watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient, Listing, WatchEvent
from controller.machinery.endpoint import Endpoint
from controller.machinery.informer import Informer
from controller.machinery.kinds import Kind
from tests.support import virtual_time

Script = list[WatchEvent | Exception | float]


class Api(ApiClient):
    """Answers each list with the next version, and each watch with the next script: events, an error, or a silence."""

    def __init__(self, *scripts: Script, lists: list[errors.ApiError | None] | None = None) -> None:
        super().__init__(Endpoint("memory:"))
        self.scripts = list(scripts)
        self.lists = lists or []
        self.version = 100
        self.requests: list[str] = []
        self.selectors: list[tuple[str, str, str]] = []
        self.open = 0

    async def snapshot(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        self.requests.append("list")
        self.selectors.append((namespace, label_selector, field_selector))
        if self.lists and (error := self.lists.pop(0)):
            raise error
        self.version += 100
        return Listing([found(self.version)], str(self.version))

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent]:
        self.requests.append(f"watch {resource_version}")
        self.selectors.append((namespace, label_selector, field_selector))
        self.open += 1
        try:
            for item in self.scripts.pop(0) if self.scripts else [1e9]:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, float):
                    await asyncio.sleep(item)
                else:
                    yield item
        finally:
            self.open -= 1


def found(version: int) -> dict[str, Any]:
    """An object of this version."""
    return {"metadata": {"name": "plc-1", "resourceVersion": str(version)}}


def event(kind: str, version: int) -> WatchEvent:
    """An event of a watch."""
    return WatchEvent(kind, found(version))


def follow(api: Api, seconds: float) -> list[str]:
    """Follow for some virtual seconds; return the changes as words."""
    seen: list[str] = []

    async def main() -> None:
        informer = Informer(api, core_kinds.PODS, backoff=Backoff(1, 30, lambda _, high: high))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(record(informer.changes()), seconds)

    async def record(changes: AsyncIterator[Listing | WatchEvent]) -> None:
        nonlocal seen
        async for change in changes:
            seen += [f"{len(change.objects)} listed" if isinstance(change, Listing) else change.type]

    virtual_time.run(main())
    return seen


def test_it_lists_and_then_watches_from_the_version_of_the_list() -> None:
    api = Api([event("ADDED", 201), event("DELETED", 202), 100.0])
    assert follow(api, 50) == ["1 listed", "ADDED", "DELETED"]
    assert api.requests == ["list", "watch 200"]


def test_a_watch_that_ends_properly_continues_from_its_last_event() -> None:
    api = Api([event("ADDED", 201), 290.0], [event("MODIFIED", 202), 290.0], [100.0])
    assert follow(api, 600) == ["1 listed", "ADDED", "MODIFIED"]
    assert api.requests == ["list", "watch 200", "watch 201", "watch 202"]


def test_a_bookmark_advances_the_version_and_is_no_change() -> None:
    api = Api([event("BOOKMARK", 250), 290.0])
    assert follow(api, 300) == ["1 listed"]
    assert api.requests == ["list", "watch 200", "watch 250"]


@pytest.mark.parametrize("error", [errors.ExpiredError("too old"), errors.ApiUnavailableError("no answer")])
def test_after_a_lost_watch_it_lists_again(error: errors.ApiError) -> None:
    api = Api([event("ADDED", 201), error])
    assert follow(api, 100) == ["1 listed", "ADDED", "1 listed"]
    assert api.requests == ["list", "watch 200", "list", "watch 300"]


def test_failures_are_retried_with_growing_delays_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    api = Api(lists=[errors.ApiUnavailableError("no answer")] * 3)
    assert follow(api, 2 + 4 + 7) == []
    assert api.requests == ["list"] * 3
    assert follow(api, 1) == ["1 listed"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "Failed to watch pods: no answer"
    ]


def test_a_server_that_ends_watches_at_once_is_not_asked_without_a_pause() -> None:
    api = Api(*[Script()] * 100)
    follow(api, 2 + 4 + 8 + 1)
    assert api.requests.count("list") == 4


async def test_the_selectors_apply_to_list_and_watch() -> None:
    api = Api([event("ADDED", 201)])
    informer = Informer(api, core_kinds.PODS, namespace="edge", label_selector="a=b", field_selector="spec.nodeName=n")
    changes = informer.changes()
    await anext(changes)
    await anext(changes)
    await changes.aclose()
    assert api.selectors == [("edge", "a=b", "spec.nodeName=n")] * 2


async def test_closing_the_iterator_closes_the_watch() -> None:
    api = Api([event("ADDED", 201), 1000.0])
    changes = Informer(api, core_kinds.PODS).changes()
    await anext(changes)
    await anext(changes)
    assert api.open == 1
    await changes.aclose()
    assert api.open == 0
