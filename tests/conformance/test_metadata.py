"""Validation of metadata: names, labels, annotations, owners and finalizers, with lengths in bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from controller.apiserver.schemas.causes import NO_FIELD
from controller.apiserver.schemas.rules import UNCHECKED
from tests.conformance.conftest import Api, Session, widget
from tests.conformance.shared_server import NAMESPACE
from tests.conformance.test_clients import PATH

Object = dict[str, Any]
Http = tuple[aiohttp.ClientSession, str]
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
MERGE = {"Content-Type": "application/merge-patch+json"}
PART = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
VALUE = "a valid label must be an empty string or " + PART.removeprefix("must ")
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u"}
OWNERS = [{**OWNER, "controller": True}, {**OWNER, "name": "b", "controller": True}]
SHOWN = (
    '[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"u","controller":true},'
    '{"apiVersion":"v1","kind":"ConfigMap","name":"b","uid":"u","controller":true}]'
)
EVENT = '{"apiVersion":"v1","kind":"Event","name":"a","uid":"u"}'
OWNER_REFERENCES = "metadata.ownerReferences"
CLASHING = "finalizer orphan and foregroundDeletion cannot be both set"
TWO_OWN = (
    'Only one reference can have Controller set to true. Found "true" in references for ConfigMap/a and ConfigMap/b'
)
UNQUALIFIED = "name is neither a standard finalizer name nor is it fully qualified"
LABELS, ANNOTATIONS, FINALIZERS = "metadata.labels", "metadata.annotations", "metadata.finalizers"
REFUSED: list[tuple[Object, list[str]]] = [
    ({"labels": {"a/b/c": ""}}, [f'{LABELS}: Invalid value: "a/b/c": a valid label key {PART}']),
    ({"labels": {"/b": ""}}, [f'{LABELS}: Invalid value: "/b": prefix part must be non-empty']),
    ({"labels": {"A/b": ""}}, [f'{LABELS}: Invalid value: "A/b": prefix part {SUBDOMAIN}']),
    ({"labels": {"a/": ""}}, [f'{LABELS}: Invalid value: "a/": name part must be non-empty',
                              f'{LABELS}: Invalid value: "a/": name part {PART}']),
    ({"labels": {"a" * 64: ""}}, [f'{LABELS}: Invalid value: "{"a" * 64}": name part must be no more than 63 bytes']),
    ({"labels": {f"{'x.' * 126}xy/n": ""}},
     [f'{LABELS}: Invalid value: "{"x." * 126}xy/n": prefix part must be no more than 253 bytes']),
    ({"labels": {"a": "b b"}}, [f'{LABELS}: Invalid value: "b b": {VALUE}']),
    ({"labels": {"a": "b\n"}}, [f'{LABELS}: Invalid value: "b\\n": {VALUE}']),
    ({"labels": {"a": "é" * 32}}, [f'{LABELS}: Invalid value: "{"é" * 32}": must be no more than 63 bytes',
                                   f'{LABELS}: Invalid value: "{"é" * 32}": {VALUE}']),
    ({"annotations": {"A_b/c": ""}}, [f'{ANNOTATIONS}: Invalid value: "A_b/c": prefix part {SUBDOMAIN}']),
    ({"annotations": {"a": "é" * (128 << 10)}},
     [f"{ANNOTATIONS}: Too long: may not be more than 262144 bytes", f"{NO_FIELD}: {UNCHECKED}"]),
    ({"finalizers": ["a b"]}, [f'{FINALIZERS}: Invalid value: "a b": name part {PART}']),
    ({"finalizers": ["orphan", "foregroundDeletion"]},
     [f'{FINALIZERS}: Invalid value: ["orphan","foregroundDeletion"]: {CLASHING}']),
    ({"ownerReferences": [{}]}, [
        'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
        *(f'metadata.ownerReferences.{name}: Invalid value: "": must not be empty' for name in ("kind", "name", "uid")),
    ]),
    ({"ownerReferences": [{**OWNER, "kind": "Event"}]},
     [f"{OWNER_REFERENCES}: Invalid value: {EVENT}: /v1, Kind=Event is disallowed from being an owner"]),
    ({"ownerReferences": OWNERS},
     [f"{OWNER_REFERENCES}: Invalid value: {SHOWN}: {TWO_OWN}"]),
    ({"name": "One"}, [f'metadata.name: Invalid value: "One": {SUBDOMAIN}']),
    ({"name": "a" * 254}, [f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 characters']),
    ({"generateName": "One_"}, [f'metadata.generateName: Invalid value: "One_": {SUBDOMAIN}']),
]  # fmt: skip
TAKEN: list[Object] = [
    {"labels": {"a": "", f"{'x.' * 126}x/{'n' * 63}": "v" * 63}},
    {"annotations": {"A.B/c": "", "a": "é" * ((128 << 10) - 3)}},
    {"finalizers": ["foregroundDeletion", "example.com/x"]},
    {"ownerReferences": [OWNERS[0], {**OWNERS[1], "controller": False}]},
    {"generateName": "one-"},
]


@pytest.fixture
async def http(api: Api) -> AsyncIterator[Http]:
    """A session and the server."""
    async with Session(api) as (session, url):
        yield session, url


def _causes(answer: Object) -> list[str]:
    """The distinct causes, without examples and patterns."""
    causes = answer.get("details", {}).get("causes", [])
    return list(dict.fromkeys(f"{cause['field']}: {cause['message'].partition(' (e.g.')[0]}" for cause in causes))


async def test_invalid_metadata_is_refused_with_kubernetes_messages(http: Http) -> None:
    session, url = http
    body = widget("one")
    for metadata, expected in REFUSED:
        given = {**body, "metadata": {**body["metadata"], **metadata}}
        async with session.post(f"{url}{PATH}?dryRun=All", json=given) as answer:
            assert (_causes(await answer.json()), answer.status) == (expected, 422)


async def test_metadata_at_its_limits_is_accepted(http: Http) -> None:
    session, url = http
    body = widget("one")
    for metadata in TAKEN:
        given = {**body, "metadata": {**body["metadata"], **metadata}}
        async with session.post(f"{url}{PATH}?dryRun=All", json=given) as answer:
            assert answer.status == 201, (metadata, await answer.text())


async def test_faults_of_metadata_and_schema_are_reported_together(http: Http) -> None:
    session, url = http
    body = widget("one", size=0)
    body["metadata"]["labels"] = {"a": "b b"}
    async with session.post(url + PATH, json=body) as answer:
        causes = (await answer.json())["details"]["causes"]
    assert [cause["field"] for cause in causes] == [LABELS, "spec.size"]


@pytest.mark.parametrize(
    "part", [{"labels": {"a": "b b"}}, {"annotations": {"a/b/c": ""}}], ids=["label", "annotation"]
)
@pytest.mark.parametrize("path", [PATH, CONFIG_MAPS])
async def test_updates_are_validated_too(http: Http, path: str, part: Object) -> None:
    session, url = http
    body = widget("one") if path == PATH else {"metadata": {"name": "one"}}
    async with session.post(url + path, json=body) as answer:
        assert answer.status == 201
    async with session.patch(f"{url}{path}/one", json={"metadata": part}, headers=MERGE) as answer:
        found = await answer.json()
    assert (answer.status, {cause["field"] for cause in found["details"]["causes"]}) == (
        422,
        {f"metadata.{next(iter(part))}"},
    )


async def test_a_finalizer_of_a_core_kind_needs_a_domain(http: Http) -> None:
    session, url = http
    given = {"metadata": {"name": "one", "finalizers": ["example.com/x", "plain"]}}
    async with session.post(url + CONFIG_MAPS, json=given) as answer:
        assert _causes(await answer.json()) == [f'{FINALIZERS}[1]: Invalid value: "plain": {UNQUALIFIED}']


async def test_a_finalizer_of_a_custom_resource_without_a_domain_gets_a_warning(http: Http) -> None:
    session, url = http
    body = widget("one")
    body["metadata"]["finalizers"] = ["plain", "example.com"]
    async with session.post(f"{url}{PATH}?dryRun=All", json=body) as answer:
        assert answer.status == 201
        warnings = answer.headers.getall("Warning")
    why = "to avoid accidental conflicts with other finalizer writers"
    assert [warning.replace("\\", "") for warning in warnings] == [
        f'299 - "{FINALIZERS}: "example.com": prefer a domain-qualified finalizer name including a path (/) {why}"',
        f'299 - "{FINALIZERS}: "plain": prefer a domain-qualified finalizer name {why}"',
    ]


async def test_warnings_stay_within_the_header_limit_of_clients(http: Http) -> None:
    session, url = http
    body = widget("one")
    body["metadata"]["finalizers"] = [f"plain-{number}" for number in range(500)]
    async with session.post(f"{url}{PATH}?dryRun=All", json=body) as answer:
        assert answer.status == 201
        reported = [len(warning) for warning in answer.headers.getall("Warning")]
    assert 4096 <= sum(reported) < 8192


async def test_namespace_names_are_labels_and_event_names_path_segments(http: Http) -> None:
    session, url = http
    for name, why in (("a" * 64, "must be no more than 63 characters"), ("a.b", "must not contain dots")):
        async with session.post(f"{url}/api/v1/namespaces", json={"metadata": {"name": name}}) as answer:
            assert f'metadata.name: Invalid value: "{name}": {why}' in _causes(await answer.json())
    event = {"metadata": {"name": "A_b"}, "involvedObject": {"namespace": NAMESPACE}}
    async with session.post(f"{url}/api/v1/namespaces/{NAMESPACE}/events", json=event) as answer:
        assert answer.status == 201


BASE64 = "AAAA" * 349525


@pytest.mark.parametrize(
    ("plural", "part", "full", "more"),
    [
        ("configmaps", "data", "é" * (1 << 19), "é" * (1 << 19) + "x"),
        ("configmaps", "binaryData", f"{BASE64}AA==", f"{BASE64}AAA="),
        ("secrets", "data", f"{BASE64}AA==", f"{BASE64}AAA="),
    ],
    ids=["text", "binary", "secret"],
)
async def test_data_size_is_counted_in_bytes(http: Http, plural: str, part: str, full: str, more: str) -> None:
    session, url = http
    path = f"{url}/api/v1/namespaces/{NAMESPACE}/{plural}?dryRun=All"
    for content, status in ((full, 201), (more, 422)):
        body = json.dumps({"metadata": {"name": "one"}, part: {"a": content}}, ensure_ascii=False)
        async with session.post(path, data=body.encode(), headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == status
