"""Validation of Kubernetes' own kinds (API reference: ConfigMap, Secret, Lease, Event)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import Api, Session
from tests.conformance.shared_server import NAMESPACE

Object = dict[str, Any]
CORE = f"/api/v1/namespaces/{NAMESPACE}"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
MERGE = {"Content-Type": "application/merge-patch+json"}
ABOUT = {"namespace": NAMESPACE, "kind": "Widget", "name": "one"}
TIME = "2026-01-01T00:00:00.000000Z"
REPORTED = {"reportingController": "tests", "reportingInstance": "here", "action": "Polish", "reason": "Polished"}
EVENT = {"eventTime": TIME, "regarding": ABOUT, "type": "Normal", **REPORTED}


@pytest.fixture
async def http(api: Api) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session and the server."""
    async with Session(api) as (session, url):
        yield session, url


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (f"{CORE}/configmaps", {"data": {"": "x"}}, ["data[]"]),
        (f"{CORE}/configmaps", {"data": {"a b": "x"}}, ["data[a b]"]),
        (f"{CORE}/configmaps", {"binaryData": {"..": "eA=="}}, ["binaryData[..]"]),
        (f"{CORE}/configmaps", {"data": {"a": "x"}, "binaryData": {"a": "eA=="}}, ["data[a]"]),
        (f"{CORE}/configmaps", {"data": {"a": "x" * (1 << 20) + "y"}}, ["[]"]),
        (f"{CORE}/secrets", {"stringData": {"": "x"}}, ["data[]"]),
        (f"{CORE}/secrets", {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}, ["data[tls.key]"]),
        (f"{CORE}/secrets", {"type": "kubernetes.io/basic-auth"}, ["data[username]", "data[password]"]),
        (
            f"{CORE}/secrets",
            {"type": "kubernetes.io/service-account-token"},
            ["metadata.annotations[kubernetes.io/service-account.name]"],
        ),
        (LEASES, {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}},
         ["spec.leaseDurationSeconds", "spec.leaseTransitions"]),
        (f"{CORE}/events", {"involvedObject": {"namespace": "other"}}, ["involvedObject.namespace"]),
        (EVENTS, {**EVENT, "eventTime": None}, ["eventTime"]),
        (EVENTS, {**EVENT, "type": "Strange"}, ["type"]),
        (EVENTS, {**EVENT, "note": "x" * 1025}, ["message"]),
        (EVENTS, {**EVENT, "series": {"count": 1, "lastObservedTime": TIME}}, ["series.count"]),
    ],
)  # fmt: skip
async def test_every_invalid_field_is_reported(
    http: tuple[aiohttp.ClientSession, str], path: str, body: Object, fields: list[str]
) -> None:
    session, url = http
    async with session.post(url + path, json={"metadata": {"name": "one"}, **body}) as answer:
        found = await answer.json()
    assert answer.status == 422, found
    assert [cause["field"] for cause in found["details"]["causes"]] == fields


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"data": {"a": "eQ=="}}, "data"),
        ({"data": {"b": "eQ=="}}, "data"),
        ({"immutable": False}, "immutable"),
        ({"immutable": None}, "immutable"),
    ],
)
async def test_immutable_data_cannot_be_changed(
    http: tuple[aiohttp.ClientSession, str], plural: str, patch: Object, field: str
) -> None:
    session, url = http
    body = {"metadata": {"name": "fixed"}, "data": {"a": "eA=="}, "immutable": True}
    async with session.post(f"{url}{CORE}/{plural}", json=body) as answer:
        assert answer.status == 201
    async with session.patch(f"{url}{CORE}/{plural}/fixed", json=patch, headers=MERGE) as answer:
        found = await answer.json()
    assert (answer.status, found["details"]["causes"][0]["field"]) == (422, field)
    label = {"metadata": {"labels": {"still": "free"}}}
    async with session.patch(f"{url}{CORE}/{plural}/fixed", json=label, headers=MERGE) as answer:
        assert answer.status == 200


async def test_the_type_of_a_secret_is_immutable(http: tuple[aiohttp.ClientSession, str]) -> None:
    session, url = http
    async with session.post(f"{url}{CORE}/secrets", json={"metadata": {"name": "one"}}) as answer:
        assert answer.status == 201
    async with session.patch(f"{url}{CORE}/secrets/one", json={"type": "other"}, headers=MERGE) as answer:
        assert (answer.status, "type: Invalid value" in (await answer.json())["message"]) == (422, True)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_object_cannot_move_to_another_namespace(http: tuple[aiohttp.ClientSession, str], method: str) -> None:
    session, url = http
    async with session.post(f"{url}{CORE}/configmaps", json={"metadata": {"name": "one"}}) as answer:
        assert answer.status == 201
    body = {"metadata": {"name": "one", "namespace": "default"}}
    headers = MERGE if method == "PATCH" else {}
    async with session.request(method, f"{url}{CORE}/configmaps/one", json=body, headers=headers) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        (f"{CORE}/events", "involvedObject.kind=Widget,reason=Polished"),
        (f"{CORE}/events", "reportingComponent=tests"),
        (EVENTS, "regarding.kind=Widget,type=Normal"),
        (EVENTS, "reportingController=tests"),
    ],
)
async def test_events_of_each_group_are_selected_by_its_own_fields(
    http: tuple[aiohttp.ClientSession, str], path: str, selector: str
) -> None:
    session, url = http
    async with session.post(url + EVENTS, json={"metadata": {"name": "polished"}, **EVENT}) as answer:
        assert answer.status == 201, await answer.text()
    async with session.get(url + path, params={"fieldSelector": selector}) as answer:
        assert [item["metadata"]["name"] for item in (await answer.json())["items"]] == ["polished"]
