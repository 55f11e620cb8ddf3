"""Content negotiation: representations by Accept, request media types, compression, OpenAPI documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml

from tests.conformance.conftest import Api, Session, widget
from tests.conformance.test_clients import PATH

Http = tuple[aiohttp.ClientSession, str]
ONE = f"{PATH}/one"


def accept(kind: str, version: str = "v1", media: str = "application/json") -> dict[str, str]:
    """The Accept header for a representation of group meta.k8s.io."""
    return {"Accept": f"{media};as={kind};v={version};g=meta.k8s.io"}


@pytest.fixture
async def http(api: Api) -> AsyncIterator[Http]:
    """A session on a server with one widget."""
    async with Session(api) as (session, url):
        async with session.post(url + PATH, json=widget("one")) as answer:
            assert answer.status == 201
        yield session, url


async def fetch(http: Http, path: str, headers: dict[str, str], **query: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET."""
    async with http[0].get(http[1] + path, headers=headers, params=query) as answer:
        return answer.status, await answer.json()


async def events(http: Http, headers: dict[str, str], count: int) -> list[dict[str, Any]]:
    """The first events of a watch that starts with existing objects."""
    query = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    query |= {"allowWatchBookmarks": "true", "timeoutSeconds": "20"}
    async with http[0].get(http[1] + PATH, headers=headers, params=query) as answer:
        return [json.loads(await answer.content.readline()) for _ in range(count)]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_get_as_partial_metadata(http: Http, version: str) -> None:
    _, found = await fetch(http, ONE, accept("PartialObjectMetadata", version))
    assert set(found) == {"kind", "apiVersion", "metadata"}
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", f"meta.k8s.io/{version}")
    assert found["metadata"]["name"] == "one"


async def test_list_as_partial_metadata(http: Http) -> None:
    _, found = await fetch(http, PATH, accept("PartialObjectMetadataList"))
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [(item["kind"], item["metadata"]["name"]) for item in found["items"]] == [("PartialObjectMetadata", "one")]
    assert "spec" not in found["items"][0]


async def test_watch_as_partial_metadata(http: Http) -> None:
    added, bookmark = await events(http, accept("PartialObjectMetadata"), 2)
    assert (added["type"], added["object"]["kind"], "spec" in added["object"]) == ("ADDED", "PartialObjectMetadata", 0)
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "PartialObjectMetadata")


async def test_a_watch_as_tables_sends_the_columns_once(http: Http) -> None:
    async with http[0].post(http[1] + PATH, json=widget("two")):
        first, second, bookmark = await events(http, accept("Table"), 3)
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert (second["object"]["columnDefinitions"], bookmark["object"]["columnDefinitions"]) == (None, None)
    assert [event["object"]["rows"][0]["cells"][0] for event in (first, second)] == ["one", "two"]


@pytest.mark.parametrize(
    ("include", "kind"), [("", "PartialObjectMetadata"), ("Metadata", "PartialObjectMetadata"), ("Object", "Widget")]
)
async def test_include_object_selects_the_content_of_table_rows(http: Http, include: str, kind: str) -> None:
    _, found = await fetch(http, ONE, accept("Table"), includeObject=include)
    assert found["rows"][0]["object"]["kind"] == kind


async def test_table_rows_can_omit_the_object(http: Http) -> None:
    assert (await fetch(http, ONE, accept("Table"), includeObject="None"))[1]["rows"][0]["object"] is None
    status, found = await fetch(http, ONE, accept("Table"), includeObject="Half")
    assert (status, found["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("*/*", "Widget"),
        ("application/*", "Widget"),
        ("application/vnd.kubernetes.protobuf,application/json", "Widget"),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", "Widget"),
        ("application/json;q=0.5,application/json;as=Table;v=v1;g=meta.k8s.io;q=0.9", "Table"),
        ("text/html,application/json;as=Table;v=v1;g=meta.k8s.io", "Table"),
    ],
)
async def test_the_most_preferred_available_form_is_chosen(http: Http, header: str, kind: str) -> None:
    assert (await fetch(http, ONE, {"Accept": header}))[1]["kind"] == kind


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (ONE, "text/html"),
        (ONE, "application/cbor"),
        (ONE, "application/json;as=Table;v=v2;g=meta.k8s.io"),
        (PATH, accept("PartialObjectMetadata")["Accept"]),
        (PATH + "?watch=1&timeoutSeconds=1", "application/yaml"),
        (PATH + "?watch=1&timeoutSeconds=1", "text/html"),
    ],
)
async def test_unacceptable_media_types_are_refused(http: Http, path: str, header: str) -> None:
    async with http[0].get(http[1] + path, headers={"Accept": header}) as answer:
        found = yaml.safe_load(await answer.text())
    assert (answer.status, found["reason"]) == (406, "NotAcceptable")


@pytest.mark.differs(
    "Answers are JSON or YAML; a client that accepts only protobuf gets JSON",
    "clients decode by Content-Type, and a protobuf encoder would be as large as the server",
)
async def test_protobuf_is_accepted_in_requests_but_not_sent(api: Api, http: Http) -> None:
    headers = {"Accept": "application/vnd.kubernetes.protobuf"}
    async with http[0].get(f"{http[1]}/api/v1/namespaces", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == ("application/json" if api.embedded else headers["Accept"])


async def test_a_write_with_an_unacceptable_answer_type_writes_nothing(http: Http) -> None:
    async with http[0].post(http[1] + PATH, json=widget("two"), headers={"Accept": "text/html"}) as answer:
        assert answer.status == 406
    assert (await fetch(http, f"{PATH}/two", {}))[0] == 404


async def test_a_write_is_answered_in_the_requested_form(http: Http) -> None:
    headers = {**accept("PartialObjectMetadata"), "Content-Type": "application/merge-patch+json"}
    async with http[0].patch(http[1] + ONE, json={"spec": {"size": 2}}, headers=headers) as answer:
        assert (await answer.json())["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize("path", [ONE, PATH, "/apis", f"{PATH}/nope"])
async def test_answers_are_yaml_on_request(http: Http, path: str) -> None:
    _, plain = await fetch(http, path, {})
    async with http[0].get(http[1] + path, headers={"Accept": "application/yaml"}) as answer:
        assert answer.content_type == "application/yaml"
        assert yaml.load(await answer.text(), yaml.BaseLoader)["kind"] == plain["kind"]


@pytest.mark.parametrize("kind", ["application/cbor", "text/plain"])
async def test_a_body_of_another_media_type_is_refused(http: Http, kind: str) -> None:
    async with http[0].post(http[1] + PATH, data=b"{}", headers={"Content-Type": kind}) as answer:
        found = await answer.json()
    assert (answer.status, found["reason"]) == (415, "UnsupportedMediaType")


async def test_a_body_may_be_yaml(http: Http) -> None:
    body, headers = yaml.safe_dump(widget("two")), {"Content-Type": "application/yaml"}
    async with http[0].post(http[1] + PATH, data=body, headers=headers) as answer:
        assert answer.status == 201


async def test_unquoted_times_in_yaml_are_strings(http: Http) -> None:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "times"}}
    body = yaml.safe_dump(about) + "data: {at: 2026-02-02T00:00:00Z, day: 2026-02-02, time: 12:30:15}\n"
    maps, headers = f"{http[1]}/api/v1/namespaces/edge/configmaps", {"Content-Type": "application/yaml"}
    async with http[0].post(maps, data=body, headers=headers) as answer:
        assert answer.status == 201
        assert (await answer.json())["data"] == {
            "at": "2026-02-02T00:00:00Z",
            "day": "2026-02-02",
            "time": "12:30:15",
        }


@pytest.mark.parametrize("value", ["NaN", "1e400", "01", "'x'"])
async def test_malformed_json_is_refused(http: Http, value: str) -> None:
    body = json.dumps(widget("odd", size="VALUE")).replace('"VALUE"', value)
    async with http[0].post(http[1] + PATH, data=body, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip", "gzip"), ("gzip;q=0", None), ("identity", None)])
async def test_a_large_answer_is_compressed_on_request(http: Http, accepted: str, encoding: str | None) -> None:
    for number in range(2):
        body = {"metadata": {"name": f"large-{number}"}, "data": {"text": "x" * 100_000}}
        async with http[0].post(f"{http[1]}/api/v1/namespaces/edge/configmaps", json=body) as answer:
            assert answer.status in (201, 409)
    async with http[0].get(f"{http[1]}/api/v1/configmaps", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("Content-Encoding") == encoding
        assert len(await answer.text()) > 200_000


async def test_a_small_answer_is_not_compressed(http: Http) -> None:
    async with http[0].get(http[1] + ONE, headers={"Accept-Encoding": "gzip"}) as answer:
        assert "Content-Encoding" not in answer.headers


async def test_json_is_indented_on_request(http: Http) -> None:
    async with http[0].get(f"{http[1]}{ONE}?pretty=true") as answer:
        assert (await answer.text()).startswith('{\n  "')


OPENAPI = "application/com.github.proto-openapi.spec.v2"
OF_KUBECTL, SENT = f"{OPENAPI}@v1.0+protobuf", f"{OPENAPI}.v1.0+protobuf"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (OF_KUBECTL, SENT),
        (SENT, SENT),
        (f"application/json;q=0.5,{OF_KUBECTL}", SENT),
        (f"{OF_KUBECTL};q=0.5,application/json", "application/json"),
        (f"text/html,{OF_KUBECTL},*/*;q=0.1", SENT),
        ("application/*", "application/json"),
        ("*/*", "application/json"),
    ],
)
async def test_openapi_v2_is_served_as_json_and_protobuf(http: Http, header: str, kind: str) -> None:
    async with http[0].get(f"{http[1]}/openapi/v2", headers={"Accept": header}) as answer:
        body = await answer.read()
    assert (answer.status, answer.content_type) == (200, kind)
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert body.startswith(b"\x0a\x032.0" if kind == SENT else b'{"swagger":"2.0"')


@pytest.mark.parametrize("header", ["application/yaml", "text/html", f"{OPENAPI}@v2.0+protobuf"])
@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3/api/v1"])
async def test_openapi_in_an_unsupported_media_type_is_refused(http: Http, path: str, header: str) -> None:
    async with http[0].get(http[1] + path, headers={"Accept": header}) as answer:
        assert answer.status == 406


@pytest.mark.differs(
    "OpenAPI v3 is JSON only; a request that accepts only protobuf is answered with 406",
    "kubectl and client-go read v3 as JSON; older ones fall back to v2",
)
async def test_openapi_v3_as_protobuf(api: Api, http: Http) -> None:
    headers = {"Accept": "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"}
    async with http[0].get(f"{http[1]}/openapi/v3/api/v1", headers=headers) as answer:
        assert answer.status == (406 if api.embedded else 200)


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3/apis/test.getedge.me/v1"])
async def test_unchanged_openapi_is_answered_with_not_modified(http: Http, path: str) -> None:
    async with http[0].get(http[1] + path) as answer:
        tag = answer.headers["ETag"]
    async with http[0].get(http[1] + path, headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with http[0].get(http[1] + path, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200
