"""What who means harm may send: it is refused, costs little, and leaves no fault in the log."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from controller.apiserver.http import encodings, protobuf, yaml_bodies
from controller.apiserver.objects import forms
from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS, Clock, acting, handed_out

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MAY_I = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MAY_THEY = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
YAML, JSON = "application/yaml", "application/json"


@pytest.fixture(autouse=True)
def no_fault(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing here is the server's fault."""
    yield
    faults = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not faults


@pytest.fixture
async def viewer(server: ApiServer, tmp_path: Path, clock: Clock) -> AsyncIterator[aiohttp.ClientSession]:
    """Who may read."""
    async with handed_out(tmp_path, "viewer", 60, clock) as made:
        yield made


@pytest.fixture
async def admin(server: ApiServer, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Who may everything."""
    async with acting(server, tmp_path, "admin") as made:
        yield made


async def sent(
    http: aiohttp.ClientSession, path: str, body: Any, kind: str = JSON, method: str = "POST", **headers: str
) -> int:
    """The status of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with http.request(method, path, data=data, headers=given) as answer:
        await answer.read()
        return answer.status


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in range(98, 107)
)


async def test_aliases_that_would_become_gigabytes_are_refused(viewer: aiohttp.ClientSession) -> None:
    assert await sent(viewer, WHOAMI, BOMB, YAML) == 400


async def test_a_question_is_short(viewer: aiohttp.ClientSession) -> None:
    for path in (WHOAMI, MAY_I, RULES):
        assert await sent(viewer, path, b'{"a":"' + b"x" * (64 << 10) + b'"}') == 413
        assert await sent(viewer, path, b"[" * 6000) == 400


async def test_nobody_is_refused_before_a_body_is_read(server: ApiServer) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http,
        http.post(server.url + WHOAMI, data=BOMB, headers={"Content-Type": YAML}) as answer,
    ):
        assert answer.status == 403


async def test_a_compressed_body_is_not_unpacked(admin: aiohttp.ClientSession) -> None:
    body = gzip.compress(b" " * (64 << 20))
    for encoding in ("gzip", "deflate", "br", "zstd", "nonsense"):
        assert await sent(admin, CONFIG_MAPS, body, Content_Encoding=encoding) == 415


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


async def test_an_odd_question_is_refused(admin: aiohttp.ClientSession) -> None:
    for path in (MAY_THEY, MAY_I, RULES, TOKENS, WHOAMI):
        assert {await sent(admin, path, review) for review in REVIEWS} == {400}


def odd_token(text: str) -> str:
    """A list's query with what says it is a place to continue."""
    return "limit=1&continue=" + base64.urlsafe_b64encode(text.encode()).decode()


SELECTORS = [
    "labelSelector=" + "%20" * 10_000,
    "labelSelector=" + "!a," * 10_000 + "b",
    "labelSelector=a%20in%20(" + "b," * 15_000 + ")",
    "fieldSelector=" + "a" * 32_000 + "%5C",
    "fieldSelector=" + "metadata.name!=a," * 1900,
    *map(odd_token, ("[" * 20_000, '[1e999,"a","b"]', '[[],"a","b"]', '{"a":1}', "1" * 5000)),
]


@pytest.mark.parametrize("query", SELECTORS, ids=lambda query: str(query)[:30])
async def test_a_query_is_bounded_in_what_it_costs(viewer: aiohttp.ClientSession, query: str) -> None:
    path = URL(f"/api/v1/namespaces?{query}", encoded=True)
    async with viewer.get(path) as answer:
        assert answer.status == (200 if query.endswith("%20") else 400)


async def test_a_long_time_to_wait_is_refused_before_it_is_read(server: ApiServer) -> None:
    for text in ("1" * 30_000, "1." * 15_000, "1h" * 15_000):
        assert await exchange(server, f"GET /healthz?timeout={text} HTTP/1.1\r\nHost: x\r\n".encode()) == 400


async def test_no_more_of_accept_is_read_than_clients_send(server: ApiServer) -> None:
    refused = b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n"
    assert await exchange(server, refused + b"Accept: a%sb\r\n" % (b" " * 4000) * 25) == 403
    ranges = ",".join(["a/b"] * 2000 + ["application/yaml"])
    assert not forms.prefers_yaml(ranges)
    assert forms.prefers_yaml("application/yaml," + ranges)


async def test_headers_that_are_long_or_many_are_refused(server: ApiServer) -> None:
    for fields in (b"X: %s\r\n" % (b"x" * 5000), b"X: x\r\n" * 40):
        assert await exchange(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + fields) == 400


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message that is shorter than 128 bytes."""
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
async def test_protobuf_of_other_types_is_refused(viewer: aiohttp.ClientSession, message: bytes) -> None:
    assert await sent(viewer, MAY_I, b"k8s\x00" + message, protobuf.CONTENT_TYPE) == 400


async def test_parameters_of_a_content_type_are_not_read(
    viewer: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.BaseRequest, "content_type", None, raising=False)
    assert await sent(viewer, WHOAMI, {}, JSON + ";a=b" * 900) == 201


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each body that is read from YAML or written as it: whether no other was, and the event loop was free."""
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

    monkeypatch.setattr(yaml_bodies, "of_yaml", watched(yaml_bodies.of_yaml))
    monkeypatch.setattr(encodings, "_to_yaml", watched(encodings._to_yaml))
    return found


async def test_large_bodies_are_read_beside_the_event_loop_one_at_a_time(
    viewer: aiohttp.ClientSession, alone: list[bool]
) -> None:
    body = b"a: [" + b"1," * 3000 + b"]"
    assert await asyncio.gather(*(sent(viewer, WHOAMI, body, YAML) for _ in range(2))) == [201, 201]
    assert alone == [True, True]


async def test_answers_become_yaml_one_at_a_time(viewer: aiohttp.ClientSession, alone: list[bool]) -> None:
    asked = (sent(viewer, "/api/v1/namespaces", b"", method="GET", Accept=YAML) for _ in range(2))
    assert await asyncio.gather(*asked) == [200, 200]
    assert alone == [True, True]


async def test_an_answer_holds_no_more_than_the_question_has(viewer: aiohttp.ClientSession) -> None:
    async with viewer.post(WHOAMI, json={"more": "x", "spec": {"more": "x"}}) as answer:
        assert "more" not in await answer.text()


async def test_an_odd_token_is_nobodys(server: ApiServer) -> None:
    for token in (b"\xff\xfe", b"\xc3\xa9", b"x" * 4000, b""):
        assert await exchange(server, b"GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % token) == 401


QUERIES = [
    "continue=" + base64.urlsafe_b64encode(token).decode()
    for token in (b"[" * 15_000, b"1", b'[1e999,"",""]', b'["1","",""]', b"[99999999999999999999,1,2]", b"\xff", b"{}")
]


async def test_odd_queries_are_refused(viewer: aiohttp.ClientSession) -> None:
    for query in (
        *QUERIES, "continue=%00", "limit=x", "limit=" + "9" * 5000, "resourceVersion=-1", "resourceVersion=%C2%B2",
        "labelSelector=a%3E" + "9" * 5000, "labelSelector=((((", "labelSelector=%00", "fieldSelector=a",
        "timeout=" + "9" * 5000, "watch=1&timeoutSeconds=x", "watch=1&resourceVersion=x", "watch=1&sendInitialEvents=x",
    ):  # fmt: skip
        async with viewer.get(URL(f"{CONFIG_MAPS}?{query}", encoded=True)) as answer:
            assert answer.status in (400, 422), query[:60]
    many = "&".join(f"p{number}=x" for number in range(2000))
    async with viewer.get(f"{CONFIG_MAPS}?{many}&watch=1&timeoutSeconds=-5&resourceVersion=1") as answer:
        assert answer.status == 200


async def test_odd_managers_are_refused_or_cleaned(admin: aiohttp.ClientSession) -> None:
    for manager, code in (("%0A", 422), ("%E2%80%AE", 422), ("x" * 129, 422), ("x" * 128, 201)):
        async with admin.post(URL(f"{CONFIG_MAPS}?fieldManager={manager}", encoded=True), json=CONFIG_MAP) as answer:
            assert answer.status == code
    assert await sent(admin, f"{CONFIG_MAPS}/one", CONFIG_MAP, method="PUT", User_Agent="a\udcff\u202eb/1") == 200
    async with admin.get(f"{CONFIG_MAPS}/one") as answer:
        names = [entry["manager"] for entry in (await answer.json())["metadata"].get("managedFields", [])]
        assert all(name.isprintable() for name in names)


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


async def test_odd_bodies_are_no_fault_of_the_server(admin: aiohttp.ClientSession) -> None:
    await sent(admin, CONFIG_MAPS, CONFIG_MAP)
    for method, path, kind in WAYS:
        for body in BODIES:
            async with admin.request(
                method, f"{CONFIG_MAPS}{path}", data=json.dumps(body), headers={"Content-Type": kind}
            ) as answer:
                assert answer.status < 500, (method, kind, str(body)[:200])


async def test_a_long_duration_is_refused_at_once_whoever_asks(server: ApiServer) -> None:
    assert await exchange(server, b"GET /healthz?timeout=%s HTTP/1.1\r\nHost: x\r\n" % (b"9" * 30_000)) == 400


async def exchange(server: ApiServer, head: bytes) -> int:
    """The status of what is sent as it is."""
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, port, ssl=insecure())
    try:
        writer.write(head + b"Connection: close\r\n\r\n")
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def insecure() -> ssl.SSLContext:
    """TLS with whoever answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
