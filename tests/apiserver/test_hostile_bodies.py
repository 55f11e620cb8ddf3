"""Hostile bodies are rejected, cost little, and cause no errors in the log."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.apiserver.compat import protobuf
from controller.apiserver.http import request_bodies, responses
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS
from tests.apiserver.hostile import ACCESS, JSON, RULES, SELF_ACCESS, TOKENS, WHOAMI, YAML, send

pytestmark = pytest.mark.usefixtures("no_errors_logged")


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in range(98, 107)
)


async def test_aliases_that_would_expand_to_gigabytes_are_rejected(viewer: aiohttp.ClientSession) -> None:
    assert await send(viewer, WHOAMI, BOMB, YAML) == 400


async def test_the_size_of_reviews_is_bounded(viewer: aiohttp.ClientSession) -> None:
    for path in (WHOAMI, SELF_ACCESS, RULES):
        assert await send(viewer, path, b'{"a":"' + b"x" * (64 << 10) + b'"}') == 413
        assert await send(viewer, path, b"[" * 6000) == 400


async def test_an_anonymous_request_is_rejected_before_its_body_is_read(server: ApiServer) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
        http.post(server.url + WHOAMI, data=BOMB, headers={"Content-Type": YAML}) as answer,
    ):
        assert answer.status == 403


async def test_compressed_bodies_are_rejected(admin: aiohttp.ClientSession) -> None:
    body = gzip.compress(b" " * (64 << 20))
    for encoding in ("gzip", "deflate", "br", "zstd", "nonsense"):
        assert await send(admin, CONFIG_MAPS, body, Content_Encoding=encoding) == 415


ODD: tuple[Any, ...] = (1, "x", [1])
VERB = {"resourceAttributes": {"verb": "get"}}
REVIEWS: list[Any] = [
    *ODD, None,
    *({"spec": value} for value in ODD),
    *({"metadata": value, "spec": {}} for value in ODD),
    *({"spec": {"resourceAttributes": value}} for value in (*ODD, {"verb": 1}, {"name": {}})),
    *({"spec": {"nonResourceAttributes": value, "user": "x"}} for value in (*ODD, {"path": ["/"]})),
    *({"spec": {**VERB, "groups": value}} for value in (*ODD, [None], {"a": 1})),
    *({"spec": {**VERB, "user": value}} for value in (1, [1])),
    *({"spec": {"token": value, "namespace": value}} for value in (1, [1])),
]  # fmt: skip


async def test_malformed_reviews_are_rejected(admin: aiohttp.ClientSession) -> None:
    for path in (ACCESS, SELF_ACCESS, RULES, TOKENS, WHOAMI):
        assert {await send(admin, path, review) for review in REVIEWS} == {400}


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


REVIEW = field(1, field(1, b"authorization.k8s.io/v1") + field(2, b"SelfSubjectAccessReview"))
NUMBER = b"\x10\x05"
MISTYPED = {
    "no envelope": b"\x08\x01",
    "no type": field(1, b"\x08\x01"),
    "no message": REVIEW + b"\x10\x01",
    "a number for a message": REVIEW + field(2, NUMBER),
    "a number for a text": REVIEW + field(2, field(1, b"\x08\x05")),
    "a number for a map": REVIEW + field(2, field(1, b"\x58\x05")),
    "a text for a number": REVIEW + field(2, field(1, field(7, b"abc"))),
    "a time beyond the calendar": REVIEW + field(2, field(1, field(8, b"\x08" + b"\xff" * 8 + b"\x3f"))),
}


@pytest.mark.parametrize("message", MISTYPED.values(), ids=MISTYPED)
async def test_mistyped_protobuf_is_rejected(viewer: aiohttp.ClientSession, message: bytes) -> None:
    assert await send(viewer, SELF_ACCESS, b"k8s\x00" + message, protobuf.CONTENT_TYPE) == 400


async def test_parameters_of_a_content_type_are_not_parsed(
    viewer: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.BaseRequest, "content_type", None, raising=False)
    assert await send(viewer, WHOAMI, {}, JSON + ";a=b" * 900) == 201


@pytest.fixture
def ran_alone(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Per YAML conversion: True if it ran outside the event loop; False is added if two ran concurrently.

    Watches servers that are started later.
    """
    found: list[bool] = []
    both, loop = threading.Barrier(2), threading.get_ident()

    def watched(convert: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def converted(raw: bytes) -> Any:
            found.append(threading.get_ident() != loop)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.3)
                found.append(False)
            return convert(raw)

        return converted

    own = request_bodies.OWN_DECODERS
    monkeypatch.setattr(request_bodies, "OWN_DECODERS", {**own, YAML: watched(own[YAML])})
    monkeypatch.setattr(responses, "_to_yaml", watched(responses._to_yaml))
    return found


async def test_large_bodies_of_a_user_are_decoded_one_at_a_time_outside_the_event_loop(
    ran_alone: list[bool], viewer: aiohttp.ClientSession
) -> None:
    body = b"a: [" + b"1," * 3000 + b"]"
    assert await asyncio.gather(*(send(viewer, WHOAMI, body, YAML) for _ in range(2))) == [201, 201]
    assert ran_alone == [True, True]


async def test_responses_to_a_user_are_encoded_as_yaml_one_at_a_time(
    viewer: aiohttp.ClientSession, ran_alone: list[bool]
) -> None:
    asked = (send(viewer, "/api/v1/namespaces", b"", method="GET", Accept=YAML) for _ in range(2))
    assert await asyncio.gather(*asked) == [200, 200]
    assert ran_alone == [True, True]


async def test_unknown_fields_of_a_review_are_dropped(viewer: aiohttp.ClientSession) -> None:
    async with viewer.post(WHOAMI, json={"more": "x", "spec": {"more": "x"}}) as answer:
        assert "more" not in await answer.text()


ODD_VALUES: tuple[Any, ...] = (None, 1, True, "x", "\x00", [], [1], [{}], {}, {"a": 1}, {"": {"": []}})
KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
FIELDS = (
    "name", "generateName", "namespace", "uid", "labels", "annotations", "finalizers", "ownerReferences",
    "managedFields", "creationTimestamp", "resourceVersion", "deletionTimestamp", "generation",
)  # fmt: skip
BODIES: list[Any] = [
    *ODD_VALUES,
    *({**KIND, "metadata": value} for value in ODD_VALUES),
    *({**KIND, "metadata": {"name": "one", field: value}} for field in FIELDS for value in ODD_VALUES),
    *({**KIND, "metadata": {"name": "one"}, "data": value} for value in ODD_VALUES),
    *({"kind": value, "apiVersion": value, "metadata": {"name": "one"}} for value in ODD_VALUES),
    *({**KIND, "metadata": {"name": "one", "managedFields": [{"fieldsType": value, "fieldsV1": value}]}}
      for value in (*ODD_VALUES, {"f:data": 1}, {"f:data": {"k:x": {}}}, {"k:{": {"v:": {".": 1}}}, {"k:1": {}})),
]  # fmt: skip
WAYS = (
    ("POST", "", JSON),
    ("PUT", "/one", JSON),
    ("PATCH", "/one", "application/merge-patch+json"),
    ("PATCH", "/one", "application/json-patch+json"),
    ("PATCH", "/one", "application/strategic-merge-patch+json"),
    ("PATCH", "/one?fieldManager=x&force=true", "application/apply-patch+yaml"),
    ("DELETE", "/none", JSON),
)


async def test_malformed_bodies_cause_no_server_error(admin: aiohttp.ClientSession) -> None:
    await send(admin, CONFIG_MAPS, CONFIG_MAP)
    for method, path, kind in WAYS:
        for body in BODIES:
            async with admin.request(
                method, f"{CONFIG_MAPS}{path}", data=json.dumps(body), headers={"Content-Type": kind}
            ) as answer:
                assert answer.status < 500, (method, kind, str(body)[:200])
