"""API clients: the ``kubernetes`` package, plain HTTP, watches, conflicts, malformed requests."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.conformance.conftest import Api, Session, widget

PLACE = {"group": "test.getedge.me", "version": "v1", "namespace": "edge", "plural": "widgets"}
PATH = "/apis/test.getedge.me/v1/namespaces/edge/widgets"


@pytest.fixture
def widgets(api: Api) -> Any:
    """The custom objects API of the ``kubernetes`` client."""
    return client.CustomObjectsApi(api.client())


async def test_a_stale_replace_is_refused_as_a_conflict(widgets: Any) -> None:
    made = await asyncio.to_thread(widgets.create_namespaced_custom_object, **PLACE, body=widget("one"))
    first = {**made, "spec": {**made["spec"], "size": 2}}
    await asyncio.to_thread(widgets.replace_namespaced_custom_object, **PLACE, name="one", body=first)
    stale = {**made, "spec": {**made["spec"], "size": 3}}
    with pytest.raises(ApiException) as refused:
        await asyncio.to_thread(widgets.replace_namespaced_custom_object, **PLACE, name="one", body=stale)
    assert json.loads(refused.value.body or "")["reason"] == "Conflict"
    found = await asyncio.to_thread(widgets.get_namespaced_custom_object, **PLACE, name="one")
    assert found["spec"]["size"] == 2


async def test_status_and_spec_are_written_separately(widgets: Any) -> None:
    body = {**widget("one"), "status": {"phase": "Ignored"}}
    made = await asyncio.to_thread(widgets.create_namespaced_custom_object, **PLACE, body=body)
    assert "status" not in made
    patched = await asyncio.to_thread(
        widgets.patch_namespaced_custom_object_status,
        **PLACE,
        name="one",
        body={"spec": {"size": 9}, "status": {"phase": "Seen"}},
    )
    assert (patched["spec"]["size"], patched["status"]["phase"]) == (1, "Seen")
    assert patched["metadata"]["generation"] == 1


async def test_a_watch_resumes_at_a_given_revision(widgets: Any) -> None:
    made = await asyncio.to_thread(widgets.create_namespaced_custom_object, **PLACE, body=widget("one"))
    for name in ("two", "three"):
        await asyncio.to_thread(widgets.create_namespaced_custom_object, **PLACE, body=widget(name))

    def follow() -> list[tuple[str, str]]:
        stream = watch.Watch().stream(
            widgets.list_namespaced_custom_object,
            **PLACE,
            resource_version=made["metadata"]["resourceVersion"],
            timeout_seconds=1,
        )
        return [(event["type"], event["object"]["metadata"]["name"]) for event in stream]

    assert await asyncio.to_thread(follow) == [("ADDED", "two"), ("ADDED", "three")]


async def test_two_hundred_conflicting_writers_lose_no_update(api: Api, widgets: Any) -> None:
    await asyncio.to_thread(widgets.create_namespaced_custom_object, **PLACE, body=widget("one"))
    async with Session(api) as (http, url):

        async def count_up() -> None:
            while True:
                async with http.get(f"{url}{PATH}/one") as answer:
                    current = await answer.json()
                labels = current["metadata"].setdefault("labels", {})
                labels["count"] = str(int(labels.get("count", "0")) + 1)
                async with http.put(f"{url}{PATH}/one", json=current) as answer:
                    if answer.status == 200:
                        return
                    assert answer.status == 409

        for _ in range(10):
            await asyncio.gather(*(count_up() for _ in range(20)))
        async with http.get(f"{url}{PATH}/one") as answer:
            assert (await answer.json())["metadata"]["labels"]["count"] == "200"


async def test_an_unknown_group_is_not_found(api: Api) -> None:
    async with Session(api) as (http, url), http.get(f"{url}/apis/unknown/v1/things") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b"{", 400),
        ("POST", PATH, b"[]", 400),
        ("POST", PATH, b"[" * 100_000, 400),
        ("POST", PATH, b'{"x":"' + b"y" * (4 << 20) + b'"}', 413),
        ("PATCH", f"{PATH}/one", b"{}", 415),
        ("GET", f"{PATH}?fieldSelector=spec.nosuch%3Dx", b"", 400),
    ],
)
async def test_a_malformed_request_is_answered_with_a_status(
    api: Api, method: str, path: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    async with Session(api) as (http, url), http.request(method, url + path, data=body, headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json())["kind"] == "Status"


UNUSABLE: list[tuple[Any, int]] = [
    ({}, 400),
    (1, 400),
    ([1], 400),
    ([{"op": "remove", "path": ""}], 422),
    ([{"op": "move", "path": "/spec/size"}], 422),
    ([{"op": "add", "path": 1, "value": 1}], 400),
    ([{"op": "nonsense", "path": "/spec/size"}], 422),
    ([{"op": "remove", "path": "/spec/none"}], 422),
    ([{"op": "add", "path": "/spec/parts/²", "value": {"name": "b"}}], 422),
    ([{"op": "add", "path": "/spec/parts/7", "value": {"name": "b"}}], 422),
    ([{"op": "test", "path": "/spec/size", "value": 7}], 422),
    ([{"op": "test", "path": "/spec/size", "value": 1}] * 10_001, 413),
    ([{"op": "copy", "from": "/spec", "path": "/spec/parts/-"}] * 40, 422),
    ([{"op": "replace", "path": "/spec", "value": 1}], 422),
]


async def test_an_inapplicable_json_patch_is_refused(api: Api) -> None:
    await api.kubectl("apply", "-f", "-", stdin=widget("one", parts=[{"name": "a"}]))
    headers = {"Content-Type": "application/json-patch+json"}
    async with Session(api) as (http, url):
        for patch, status in UNUSABLE:
            async with http.patch(f"{url}{PATH}/one", data=json.dumps(patch), headers=headers) as answer:
                assert (answer.status, (await answer.json())["kind"]) == (status, "Status"), str(patch)[:80]
