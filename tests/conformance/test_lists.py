"""Paged lists, exact lists, streaming lists, watches, and deletion of collections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import Api, Session, widget
from tests.conformance.test_clients import PATH

Http = tuple[aiohttp.ClientSession, str]


@pytest.fixture
async def http(api: Api) -> AsyncIterator[Http]:
    """A session on a server with five widgets."""
    async with Session(api) as (session, url):
        for name in "abcde":
            async with session.post(url + PATH, json=widget(name)) as answer:
                assert answer.status == 201
        yield session, url + PATH


async def fetch(http: Http, **query: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET."""
    async with http[0].get(http[1], params=query) as answer:
        return answer.status, await answer.json()


def named(body: dict[str, Any]) -> str:
    """The concatenated names of the items of a list."""
    return "".join(item["metadata"]["name"] for item in body["items"])


async def test_all_pages_show_the_same_revision_despite_changes(http: Http) -> None:
    _, first = await fetch(http, limit="2")
    assert (named(first), first["metadata"]["remainingItemCount"]) == ("ab", 3)
    async with http[0].delete(f"{http[1]}/c") as answer:
        assert answer.status == 200
    async with http[0].post(http[1], json=widget("dd")) as answer:
        assert answer.status == 201
    _, second = await fetch(http, limit="2", **{"continue": first["metadata"]["continue"]})
    _, third = await fetch(http, limit="2", **{"continue": second["metadata"]["continue"]})
    assert (named(second), named(third)) == ("cd", "e")
    assert not third["metadata"].get("continue")
    assert first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]
    assert named((await fetch(http))[1]) == "abddde"


async def test_kubectl_gets_all_in_chunks(api: Api, http: Http) -> None:
    printed = await api.kubectl("get", "wd", "--chunk-size=2", "-o", "name")
    assert len(printed.splitlines()) == 5


async def test_an_exact_list_shows_a_past_revision(http: Http) -> None:
    _, then = await fetch(http)
    async with http[0].delete(f"{http[1]}/a") as answer:
        assert answer.status == 200
    revision = then["metadata"]["resourceVersion"]
    _, found = await fetch(http, resourceVersion=revision, resourceVersionMatch="Exact")
    assert named(found) == "abcde"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"continue": "nonsense"}, 400),
        ({"limit": "many"}, 400),
        ({"watch": "1", "timeoutSeconds": "soon"}, 400),
        ({"fieldSelector": "spec.size=1"}, 400),
        ({"resourceVersion": "new"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Newest", "resourceVersion": "1"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "1", "continue": "next"}, 422),
        ({"sendInitialEvents": "true"}, 422),
        ({"watch": "1", "sendInitialEvents": "true"}, 422),
        ({"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "Exact"}, 422),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, 422),
        ({"watch": "1", "continue": "next"}, 422),
    ],
)
async def test_invalid_list_options_are_refused(http: Http, query: dict[str, str], status: int) -> None:
    found, body = await fetch(http, **query)
    assert (found, body["kind"]) == (status, "Status")


@pytest.mark.parametrize("bookmarks", [True, False])
async def test_a_streaming_list_marks_the_end_of_initial_events_with_a_bookmark(http: Http, bookmarks: bool) -> None:
    query = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "1"}
    query |= {"allowWatchBookmarks": str(bookmarks).lower()}
    async with http[0].get(http[1], params=query) as answer:
        events = [json.loads(line) async for line in answer.content]
    assert [event["type"] for event in events[:6]] == ["ADDED"] * 5 + ["BOOKMARK"] * bookmarks
    if bookmarks:
        assert events[5]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@pytest.mark.differs(
    "A watch from a future revision ends with 410, so that the client lists again; Kubernetes keeps it waiting",
    "after a restored backup, clients must notice that their revision no longer exists",
)
async def test_a_watch_from_a_future_revision(api: Api, http: Http) -> None:
    query = {"watch": "1", "resourceVersion": "999999999", "timeoutSeconds": "1"}
    async with http[0].get(http[1], params=query) as answer:
        events = [json.loads(line) async for line in answer.content]
    assert [(event["type"], event["object"]["code"]) for event in events] == [("ERROR", 410)] * api.embedded


async def test_a_selector_watch_reports_objects_that_start_and_stop_matching(api: Api, http: Http) -> None:
    _, listed = await fetch(http)
    query = {
        "watch": "1",
        "labelSelector": "tier=front",
        "resourceVersion": listed["metadata"]["resourceVersion"],
        "timeoutSeconds": "3",
    }

    async def follow() -> list[tuple[str, str]]:
        async with http[0].get(http[1], params=query) as answer:
            lines = [json.loads(line) async for line in answer.content]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in lines]

    following = asyncio.create_task(follow())
    await api.kubectl("label", "wd", "a", "tier=front")
    await api.kubectl("label", "wd", "a", "tier=back", "--overwrite")
    assert await following == [("ADDED", "a"), ("DELETED", "a")]


async def test_deleting_a_collection_deletes_the_selected_objects(api: Api, http: Http) -> None:
    await api.kubectl("label", "wd", "a", "b", "tier=front")
    async with http[0].delete(http[1], params={"labelSelector": "tier=front"}) as answer:
        assert answer.status == 200
    assert named((await fetch(http))[1]) == "cde"


async def test_a_delete_for_another_uid_is_refused(http: Http) -> None:
    async with http[0].delete(f"{http[1]}/a", json={"preconditions": {"uid": "other"}}) as answer:
        assert answer.status == 409
        assert "the UID in the precondition (other) does not match" in (await answer.json())["message"]


async def test_a_dry_run_of_delete_deletes_nothing(api: Api, http: Http) -> None:
    await api.kubectl("delete", "wd", "a", "--dry-run=server")
    assert named((await fetch(http))[1]) == "abcde"


@pytest.mark.parametrize("match", [{}, {"resourceVersionMatch": "Exact"}, {"resourceVersionMatch": "NotOlderThan"}])
async def test_a_list_at_a_future_revision_asks_for_a_retry(http: Http, match: dict[str, str]) -> None:
    status, body = await fetch(http, resourceVersion="999999999", **match)
    assert (status, body["reason"], body["details"]["retryAfterSeconds"]) == (504, "Timeout", 1)
    assert body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_list_at_revision_zero_is_not_paged(http: Http) -> None:
    _, found = await fetch(http, resourceVersion="0", limit="2")
    assert (named(found), found["metadata"].get("continue") or "") == ("abcde", "")


async def test_a_streaming_list_without_initial_events_reports_only_changes(api: Api, http: Http) -> None:
    query = {"watch": "1", "sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "3"}
    async with http[0].get(http[1], params=query) as answer:
        await api.kubectl("label", "wd", "c", "tier=front")
        events = [json.loads(line) async for line in answer.content]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("MODIFIED", "c")]


async def test_the_deprecated_watch_path_watches_one_object(http: Http) -> None:
    path = http[1].replace("/v1/", "/v1/watch/") + "/b"
    async with http[0].get(path, params={"timeoutSeconds": "1"}) as answer:
        events = [json.loads(line) async for line in answer.content]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [("ADDED", "b")]
