"""Fuzzing with generated requests: no server errors, and the server keeps answering."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from controller.api import crds
from controller.apiserver.compat import protobuf
from tests.apiserver.bodies import mutated
from tests.apiserver.conftest import session_of
from tests.conformance.conftest import DEFINITION, widget
from tests.support.api_server import serving

JSON, MERGE = "application/json", "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
TIMED_OUT = 504  # a generated timeout may be too short for any request
BOUNDED = settings(
    derandomize=True,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
REQUESTS = 4  # per example

RUNTIME = {
    "apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": {"name": "one"},
    "spec": {"deviceId": "one", "image": "registry.test/plc", "env": [{"name": "A", "value": "b"}]},
}  # fmt: skip
PLACES: dict[str, dict[str, Any]] = {
    "/api/v1/namespaces/edge/configmaps": {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "immutable": False,
        "metadata": {"name": "one", "labels": {"a": "b"}, "finalizers": ["a/b"], "ownerReferences": [
            {"apiVersion": "v1", "kind": "Secret", "name": "one", "uid": "1"}]},
    },
    "/api/v1/namespaces/edge/secrets": {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "Yg=="}, "stringData": {"c": "d"},
        "metadata": {"name": "one", "annotations": {"a": "b"}},
    },
    "/apis/coordination.k8s.io/v1/namespaces/edge/leases": {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "one"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 5, "renewTime": "2026-01-01T00:00:00.000000Z"},
    },
    "/api/v1/namespaces/edge/events": {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "one"}, "reason": "A", "message": "b", "count": 1,
        "involvedObject": {"kind": "Secret", "namespace": "edge", "name": "one"}, "series": {"count": 2},
        "firstTimestamp": "2026-01-01T00:00:00Z", "source": {"component": "a"}, "type": "Normal",
    },
    "/api/v1/namespaces": {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "one"}, "spec": {"finalizers": ["kubernetes"]},
    },
    "/apis/test.getedge.me/v1/namespaces/edge/widgets": {
        **widget("one", color="Red", parts=[{"name": "a", "weight": 1}]), "status": {"phase": "a"},
    },
    "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes": RUNTIME,
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {
        **DEFINITION,
        "metadata": {"name": "gadgets.fuzz.getedge.me"},
        "spec": {**DEFINITION["spec"], "group": "fuzz.getedge.me", "names": {"kind": "Gadget", "plural": "gadgets"}},
    },
}  # fmt: skip
KINDS = {
    "POST": ("application/json", "application/yaml", protobuf.CONTENT_TYPE, "text/plain"),
    "PUT": ("application/json", "application/yaml"),
    "PATCH": (
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ),
    "DELETE": ("application/json",),
}  # fmt: skip
SAMPLES = st.sampled_from(
    ["", "a", "0", "-1", "9" * 400, "%", "\x00", "²", "\u202e", "a=b", "!a", "a in (b,,)", "a>1", "a=\\",
     "metadata.name=x", "spec.color!=Red", "1s", "All", "Strict", "Foreground", "NotOlderThan", "true", "x" * 200]
)  # fmt: skip
NAMES = SAMPLES | st.sampled_from(["name", "kind", "metadata", "spec", "managedFields", "$patch", "f:a", "k:{}", "~1"])
LEAVES = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | SAMPLES | st.text(max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
PARAMETERS = st.sampled_from(
    ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "timeout",
     "dryRun", "fieldManager", "fieldValidation", "force", "pretty", "propagationPolicy", "gracePeriodSeconds",
     "orphanDependents", "includeObject", "a"]
)  # fmt: skip
QUERIES = st.dictionaries(PARAMETERS, SAMPLES | st.text(max_size=6), max_size=3)


POINTERS = st.lists(NAMES, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS},
        optional={"from": POINTERS, "value": VALUES},
    ),
    max_size=4,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, str, bytes]:
    """Method, URL, content type and body of a request."""
    place = draw(st.sampled_from(sorted(PLACES)))
    method = draw(st.sampled_from(("POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE")))
    kind = draw(st.sampled_from(KINDS[method]))
    if kind == "application/json-patch+json":
        value = draw(OPERATIONS | VALUES)
    elif kind == protobuf.CONTENT_TYPE:
        return method, place, kind, protobuf.MAGIC + draw(st.binary(max_size=30))
    else:
        value = draw(mutated(PLACES[place], VALUES) if draw(st.integers(0, 3)) else VALUES)
    part = draw(st.sampled_from(("", "", "/status")))
    path = place if method == "POST" else f"{place}/{PLACES[place]['metadata']['name']}{part}"
    query = draw(st.just({}) | QUERIES) | ({"fieldManager": "x", "force": "true"} if "apply" in kind else {})
    return method, str(URL(path).with_query(query)), kind, written(value, kind, draw(st.booleans()))


def written(value: Any, kind: str, blocks: bool) -> bytes:
    """The encoded body; YAML in block or flow style."""
    if "yaml" in kind and blocks:
        return yaml.safe_dump(value, allow_unicode=True).encode(errors="surrogatepass")
    return json.dumps(value).encode()


@pytest.fixture
async def admin(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[aiohttp.ClientSession]:
    """An administrator's session on a server with an object of each kind. Fails when the server logs an error."""
    async with serving(tmp_path, DEFINITION, *crds.manifests()) as server, session_of(server, "admin") as http:
        for place, item in PLACES.items():
            await ask(http, "POST", place, "application/json", json.dumps(item).encode())
        yield http
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def ask(http: aiohttp.ClientSession, method: str, url: str, kind: str, body: bytes, accept: str = "*/*") -> int:
    """Send a request and return the status. Fails on server errors."""
    headers = {"Content-Type": kind, "Accept": accept}
    async with http.request(method, URL(url, encoded=True), data=body or None, headers=headers) as answer:
        await answer.read()
        assert answer.status < 500 or answer.status == TIMED_OUT, (method, url, kind, body)
        return answer.status


@BOUNDED
@given(sent=st.lists(requests(), min_size=REQUESTS, max_size=REQUESTS))
async def test_writes_never_cause_a_server_error(
    admin: aiohttp.ClientSession, sent: list[tuple[str, str, str, bytes]]
) -> None:
    for request in sent:
        await ask(admin, *request)
    for place, item in PLACES.items():
        await ask(admin, "POST", place, "application/json", json.dumps(item).encode())
        assert await ask(admin, "GET", place, "", b"", TABLE) == 200


@BOUNDED
@given(place=st.sampled_from(sorted(PLACES)), query=QUERIES, accept=st.sampled_from([TABLE, "*/*", "application/yaml"]))
async def test_reads_never_cause_a_server_error(
    admin: aiohttp.ClientSession, place: str, query: dict[str, str], accept: str
) -> None:
    await ask(admin, "GET", str(URL(place).with_query(query)), "", b"", accept)
    assert await ask(admin, "GET", "/healthz", "", b"") == 200


SCALED = copy.deepcopy(DEFINITION)
SCALED["metadata"]["name"] = "scaled.fuzz.getedge.me"
SCALED["spec"] |= {"group": "fuzz.getedge.me", "names": {"kind": "Scaled", "plural": "scaled", "singular": "scaled"}}
SCALED["spec"]["versions"][0] |= {
    "subresources": {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
    "additionalPrinterColumns": [
        {"name": "A", "type": "date", "jsonPath": ".spec.when"},
        {"name": "B", "type": "string", "jsonPath": f".spec.parts[{'9' * 5000}]"},
    ],
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}


async def test_reading_a_scale_is_refused_until_replicas_are_set(tmp_path: Path) -> None:
    place = "/apis/fuzz.getedge.me/v1/namespaces/edge/scaled"
    item = {"apiVersion": "fuzz.getedge.me/v1", "kind": "Scaled", "metadata": {"name": "one"}}
    item["spec"] = {"when": "2026-01-01T00:00:00", "parts": [1]}
    async with serving(tmp_path, SCALED) as server, session_of(server, "admin") as http:
        assert await ask(http, "POST", place, JSON, json.dumps(item).encode()) == 201
        assert await ask(http, "GET", place, "", b"", TABLE) == 200
        assert await ask(http, "GET", f"{place}/one/scale", "", b"") == 422
        assert await ask(http, "PATCH", f"{place}/one/scale", MERGE, b'{"spec":{"replicas":2}}') == 200
        assert await ask(http, "GET", f"{place}/one/scale", "", b"") == 200
