"""Users of the embedded API: what each may, how long a certificate is good, and what the log says of writes."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from controller.apiserver.access import certificates, kubeconfigs, pki
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import AUTHENTICATED, Identity, Policy, Rule
from controller.apiserver.access.kubeconfigs import HandOut
from controller.apiserver.access.pki import AUTHORITY_DAYS, RENEW_AUTHORITY_DAYS, Pki
from controller.apiserver.http import requests
from controller.apiserver.http.limits import Limits
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.server import ApiServer
from controller.resources import endpoint
from tests.support import command

MANIFESTS = Path(__file__).parents[2] / "manifests" / "cluster"
DAY = 86_400.0
CONFIG_MAPS = "/api/v1/namespaces/edge/configmaps"
CONFIG_MAP = {"metadata": {"name": "one"}, "data": {"secret": "of nobody's business"}}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    """The server's clock."""
    return Clock()


@pytest.fixture
async def server(tmp_path: Path, clock: Clock) -> AsyncIterator[ApiServer]:
    """A started server that answers two requests at once, without custom kinds."""
    server = ApiServer(tmp_path, "127.0.0.1", 0, [], "edge", clock, limits=Limits(in_flight=2, watches=1))
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, tmp_path / "kubeconfig")
    yield server
    await server.stop()


@asynccontextmanager
async def session(config: dict[str, Any], folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session as a kubeconfig says."""
    path = folder / f"config-{time.monotonic_ns()}"
    await asyncio.to_thread(path.write_text, yaml.safe_dump(config))
    found = await asyncio.to_thread(endpoint.of_kubeconfig, path)
    context = await asyncio.to_thread(found.ssl_context)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(found.url, connector=connector) as made:
        yield made


@asynccontextmanager
async def acting(server: ApiServer, folder: Path, user: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of a user of whom the server keeps credentials."""
    async with session(await asyncio.to_thread(server.kubeconfig, user), folder) as made:
        yield made


@asynccontextmanager
async def handed_out(folder: Path, user: str, seconds: float, clock: Clock) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a kubeconfig that was handed out."""
    made = HandOut(folder, folder / "kubeconfig", clock)
    async with session(await asyncio.to_thread(made.make, user, seconds), folder) as http:
        yield http


async def status(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> int:
    """What a request is answered with."""
    async with http.request(method, path, json=body) as answer:
        return answer.status


async def test_a_viewer_reads_all_but_secrets_and_writes_nothing(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    async with handed_out(tmp_path, "viewer", 3600, clock) as viewer:
        for path in ("/api/v1/nodes", CONFIG_MAPS, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"):
            assert await status(viewer, "GET", path) == 200
        for path in ("/api/v1/secrets", "/api/v1/namespaces/edge/secrets/one", "/api/v1/secrets?watch=true"):
            assert await status(viewer, "GET", path) == 403
        assert await status(viewer, "POST", CONFIG_MAPS, CONFIG_MAP) == 403
        assert await status(viewer, "DELETE", CONFIG_MAPS) == 403
        assert await status(viewer, "GET", "/metrics") == 403


async def test_the_rules_of_a_viewer_are_listed_without_secrets(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    question = {"spec": {"namespace": "edge"}}
    async with handed_out(tmp_path, "viewer", 3600, clock) as viewer, viewer.post(path, json=question) as answer:
        rules = (await answer.json())["status"]["resourceRules"]
    core = next(rule for rule in rules if rule["apiGroups"] == [""])
    assert "configmaps" in core["resources"]
    assert "secrets" not in core["resources"]
    assert not any("*" in rule["apiGroups"] for rule in rules)


async def test_an_admin_may_do_everything(server: ApiServer, tmp_path: Path, clock: Clock) -> None:
    async with handed_out(tmp_path, "admin", 60, clock) as admin:
        assert await status(admin, "POST", CONFIG_MAPS, CONFIG_MAP) == 201
        assert await status(admin, "GET", "/api/v1/secrets") == 200


async def test_a_name_that_is_not_in_the_table_may_discover_and_no_more(
    server: ApiServer, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pki.PEOPLE, "mallory", "")
    async with handed_out(tmp_path, "mallory", 60, clock) as mallory:
        assert await status(mallory, "GET", "/apis") == 200
        for path in ("/api/v1/nodes", CONFIG_MAPS, "/metrics"):
            assert await status(mallory, "GET", path) == 403


async def test_a_certificate_is_good_until_its_end_also_on_a_kept_connection(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    async with handed_out(tmp_path, "viewer", 3600, clock) as viewer:
        assert await status(viewer, "GET", CONFIG_MAPS) == 200
        clock.ahead = 3601
        assert await status(viewer, "GET", CONFIG_MAPS) == 401


async def test_a_certificate_of_another_authority_is_refused_by_tls(server: ApiServer, tmp_path: Path) -> None:
    config, other = await asyncio.to_thread(server.kubeconfig), Pki(tmp_path / "other")
    await asyncio.to_thread(other.ensure, time.time())
    foreign = await asyncio.to_thread(other.hand_out, "admin", 60.0, time.time())
    cluster = config["clusters"][0]["cluster"]
    async with session(kubeconfigs.of(cluster, "admin", foreign, "edge"), tmp_path) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get("/api")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.3", "127.0.0.4"], ids=["itself", "known", "unknown"])
async def test_a_host_that_is_opened_is_reached_by_any_name(tmp_path: Path, address: str) -> None:
    opened = ApiServer(tmp_path, "0.0.0.0", 0, [], "edge", addresses=lambda: ["127.0.0.3"])
    await opened.start()
    await asyncio.to_thread(opened.write_kubeconfig, tmp_path / "kubeconfig")
    elsewhere = opened.url.replace("127.0.0.1", address)
    made = await asyncio.to_thread(HandOut(tmp_path, tmp_path / "kubeconfig").make, "viewer", 60.0, elsewhere)
    await asyncio.to_thread((tmp_path / "viewer").write_text, yaml.safe_dump(made))
    assert ("tls-server-name" in made["clusters"][0]["cluster"]) == (address == "127.0.0.4")
    assert "viewer" in await kubectl(tmp_path / "viewer", "auth", "whoami")
    await opened.stop()


async def test_kubectl_lists_what_a_viewer_may(server: ApiServer, tmp_path: Path) -> None:
    made = await asyncio.to_thread(HandOut(tmp_path, tmp_path / "kubeconfig").make, "viewer", 60.0)
    await asyncio.to_thread((tmp_path / "viewer").write_text, yaml.safe_dump(made))
    listed = await kubectl(tmp_path / "viewer", "auth", "can-i", "--list")
    assert "configmaps" in listed
    assert "secrets" not in listed


async def kubectl(kubeconfig: Path, *arguments: str) -> str:
    """What kubectl prints."""
    own = (str(Path(sys.executable).parent / "kubectl"), f"--kubeconfig={kubeconfig}")
    home = {"HOME": str(kubeconfig.parent)}
    return (await asyncio.to_thread(command.run, *own, *arguments, environment=home)).stdout


def rules_of_the_cluster() -> set[tuple[str, str, str]]:
    """Verb, group and resource of everything that the controller's roles may do in a cluster."""
    rendered = yaml.safe_load_all((MANIFESTS / "edge-controller.yaml").read_text())
    documents = [each for each in rendered if "people" not in each["metadata"]["name"]]
    rules = [rule for document in documents for rule in document.get("rules", ())]
    return {(v, g, r) for rule in rules for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}


def test_the_controller_may_do_nothing_here_that_it_may_not_do_in_a_cluster_but_write_the_node() -> None:
    resources, _ = Policy(Registry(())).review(Identity("controller"))
    found = {
        (v, g, r) for rule in resources for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]
    }
    assert len(found) > 15
    assert found - {("create", "", "nodes"), ("patch", "", "nodes/status")} <= rules_of_the_cluster()


def test_a_rule_for_a_resource_is_none_for_its_subresources() -> None:
    rule = Rule(("get",), ("g",), ("things",))
    wanted = Attributes("get", "", "g", "v1", "things")
    assert rule.allows(wanted)
    assert not rule.allows(wanted._replace(subresource="status"))
    assert not rule.allows(wanted._replace(verb="list"))
    assert not rule.allows(wanted._replace(group=""))
    assert not rule.allows(Attributes("get", "/things"))


async def test_a_token_review_knows_our_tokens(server: ApiServer, tmp_path: Path) -> None:
    token = (await asyncio.to_thread(server.credentials, "controller")).token
    async with acting(server, tmp_path, "admin") as admin:
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        async with admin.post(path, json={"spec": {"token": token}}) as answer:
            found = (await answer.json())["status"]
    assert found == {"authenticated": True, "user": {"username": "controller", "groups": [AUTHENTICATED]}}


async def test_certificates_are_renewed_while_the_server_runs(server: ApiServer, tmp_path: Path, clock: Clock) -> None:
    first = await asyncio.to_thread((tmp_path / "kubeconfig").read_text)
    kept = await asyncio.to_thread(endpoint.of_kubeconfig, tmp_path / "kubeconfig")
    context = await asyncio.to_thread(kept.ssl_context)

    def served() -> str:
        port = int(server.url.rpartition(":")[2])
        return ssl.get_server_certificate(("127.0.0.1", port))

    before = await asyncio.to_thread(served)
    clock.ahead = 310 * DAY
    await server.maintain()
    assert await asyncio.to_thread(served) != before
    assert await asyncio.to_thread((tmp_path / "kubeconfig").read_text) != first
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api", ssl=context) as answer:
        assert answer.status == 200, "who has the former kubeconfig goes on with it"


async def test_who_trusts_a_former_certificate_of_the_authority_goes_on(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    found = await asyncio.to_thread(server.credentials, "admin")
    former = await asyncio.to_thread(found.ca.read_text)
    context = ssl.create_default_context(cadata=former)
    clock.ahead = (AUTHORITY_DAYS - RENEW_AUTHORITY_DAYS + 1) * DAY
    await server.maintain()
    assert await asyncio.to_thread(found.ca.read_text) != former
    headers = {"Authorization": f"Bearer {found.token}"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), headers=headers) as http,
        http.get(f"{server.url}{CONFIG_MAPS}/kube-root-ca.crt") as answer,
    ):
        published = (await answer.json())["data"]["ca.crt"]
    assert published == await asyncio.to_thread(found.ca.read_text)


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the log of writes."""
    fields = ("user", "verb", "resource", "object", "code")
    lines = [record for record in caplog.records if record.name == "edge.audit"]
    return [{field: getattr(line, field) for field in fields} for line in lines]


async def test_every_write_leaves_a_line_and_no_line_has_a_body(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with acting(server, tmp_path, "admin") as admin:
        assert await status(admin, "POST", CONFIG_MAPS, CONFIG_MAP) == 201
        assert await status(admin, "GET", CONFIG_MAPS) == 200
        assert await status(admin, "DELETE", f"{CONFIG_MAPS}/one") == 200
        assert await status(admin, "DELETE", f"{CONFIG_MAPS}/one") == 404
    about = {"user": "admin", "resource": "configmaps", "object": "edge/one"}
    assert audited(caplog) == [
        {**about, "verb": "create", "code": 201},
        {**about, "verb": "delete", "code": 200},
        {**about, "verb": "delete", "code": 404},
    ]
    assert "nobody's business" not in caplog.text


async def test_a_refused_write_leaves_a_line(
    server: ApiServer, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with handed_out(tmp_path, "viewer", 60, clock) as viewer:
        await status(viewer, "DELETE", f"{CONFIG_MAPS}/one")
    (line,) = audited(caplog)
    assert (line["user"], line["code"]) == ("viewer", 403)


async def test_what_a_box_writes_all_day_is_told_to_who_debugs(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    event = {"metadata": {"name": "e", "namespace": "edge"}, "involvedObject": {"namespace": "edge"}}
    async with acting(server, tmp_path, "admin") as admin:
        assert await status(admin, "POST", "/api/v1/namespaces/edge/events", event) == 201
    assert [record.levelname for record in caplog.records if record.name == "edge.audit"] == ["DEBUG"]


async def test_who_acts_as_another_is_named_too(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    as_viewer = {"Impersonate-User": "viewer"}
    async with (
        acting(server, tmp_path, "admin") as admin,
        admin.delete(f"{CONFIG_MAPS}/one", headers=as_viewer) as answer,
    ):
        assert answer.status == 403
    (line,) = [record for record in caplog.records if record.name == "edge.audit"]
    assert (line.__dict__["user"], line.__dict__["impersonator"]) == ("viewer", "admin")


async def test_one_watch_too_many_is_asked_to_come_again(server: ApiServer, tmp_path: Path) -> None:
    async with acting(server, tmp_path, "admin") as admin, admin.get(f"{CONFIG_MAPS}?watch=true") as watching:
        assert watching.status == 200
        async with admin.get(f"{CONFIG_MAPS}?watch=true") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert (await answer.json())["reason"] == "TooManyRequests"
        assert await status(admin, "GET", CONFIG_MAPS) == 200


async def test_a_watcher_that_stops_reading_loses_its_place(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "STALLED_SECONDS", 0.1)
    found = await asyncio.to_thread(server.credentials, "admin")
    context = await asyncio.to_thread(ssl.create_default_context, cafile=str(found.ca))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", int(server.url.rpartition(":")[2])))
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=context, server_hostname="localhost", limit=64
        )
        head = f"GET {CONFIG_MAPS}?watch=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {found.token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readline()
        async with acting(server, tmp_path, "admin") as admin:
            for number in range(12):
                body = {"metadata": {"name": f"large-{number}"}, "data": {"text": "x" * 900_000}}
                assert await status(admin, "POST", CONFIG_MAPS, body) == 201
            while await status(admin, "GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0") == 429:
                pass  # the next request is the wait
        writer.transport.abort()


def test_a_handed_out_certificate_ends_when_the_kubeconfig_says(tmp_path: Path) -> None:
    kept = Pki(tmp_path)
    kept.ensure(time.time())
    pair = certificates.read(*kept.hand_out("viewer", 60, time.time()))
    assert pair.certificate.not_valid_after_utc.timestamp() <= time.time() + 60
