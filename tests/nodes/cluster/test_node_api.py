"""Queries to a node over TLS: the same answers as in the same process, for the leader only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.machinery.kinds import Kind
from controller.node_api import queries
from controller.node_api.node import File, HttpRequest, HttpResponse, Node
from controller.node_api.periods import Between, Last
from controller.nodes.cluster import certificate
from controller.nodes.cluster.directory import ClusterNodeDirectory
from controller.nodes.cluster.leader_key import HEADER, LeaderKey
from controller.nodes.cluster.node_authorizer import NodeAuthorizer
from controller.nodes.cluster.node_server import NodeServer
from controller.nodes.cluster.remote_node import Address, RemoteNode
from tests.support.command_harness import FakeNode
from tests.support.direct_api import DirectApi

NAME, ADDRESS = "node-1", "10.213.0.2"
REQUEST = HttpRequest(ADDRESS, 8443, "https", "POST", "/a?b=c", {"q": ["1", "2"]}, {"X-A": "b"}, {"n": [1, None]})


class Served:
    """A node behind a NodeServer."""

    def __init__(self, api: DirectApi, folder: Path) -> None:
        self.api = api
        self.node = FakeNode()
        self.token = folder / "token"
        self.token.write_text("token for 0.1\n")
        self.own = certificate.make()
        authorizer = NodeAuthorizer(self.api, NAME, self.own.pem)
        self.server = NodeServer("127.0.0.1", 0, self.own.context, authorizer, self.node, self.api, NAME)

    @property
    def address(self) -> Address:
        return Address(NAME, f"https://127.0.0.1:{self.server.port}", self.own.pem)

    def remote(self, address: Address) -> RemoteNode:
        """The leader's client for a node."""
        return RemoteNode(address, self.api, self.token)

    async def run_here(self, address: str = ADDRESS) -> None:
        """Create a runtime of this node with that address."""
        metadata = {"name": "plc-1", "namespace": "edge"}
        await self.api.create(
            kinds.RUNTIMES, {"metadata": metadata, "spec": {"deviceId": "plc-1", "image": "x", "nodeName": NAME}}
        )
        status = {"status": {"internalIP": address}}
        await self.api.patch(kinds.RUNTIMES, "plc-1", "edge", status, subresource="status")

    async def announce(self, pem: str) -> None:
        """Publish the node's address in its EdgeNode."""
        api = {"url": self.address.url, "certificate": pem}
        await self.api.patch(kinds.EDGE_NODES, NAME, "", {"status": {"api": api}}, subresource="status")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with DirectApi() as api:
        await api.create(kinds.EDGE_NODES, {"metadata": {"name": NAME}, "spec": {}})
        served = await asyncio.to_thread(Served, api, tmp_path)
        await served.server.start()
        yield served
        await served.server.stop()


@pytest.fixture
async def remote(served: Served) -> AsyncIterator[RemoteNode]:
    remote = served.remote(served.address)
    yield remote
    await remote.close()


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("reading", {}),
        ("host_facts", {}),
        ("host_usage", {"cpu": Last(60), "memory": Between(1.5, 2.5)}),
        ("device_usage", {"namespace": "edge", "device_id": "plc-1", "cpu": Last(60), "memory": Last(1)}),
        ("interfaces", {"include_virtual": True}),
        ("foreign_container", {"name": "plc-1"}),
    ],
)
async def test_a_remote_answer_equals_the_nodes_own(
    served: Served, remote: Node, query: str, parameters: dict[str, Any]
) -> None:
    assert await getattr(remote, query)(**parameters) == await getattr(served.node, query)(**parameters)


def test_a_remote_node_answers_every_query_of_a_node_and_no_other(remote: Node) -> None:
    assert all(callable(getattr(remote, name)) for name in queries.TABLE)
    assert not hasattr(remote, "reboot")


async def test_a_request_is_forwarded_unchanged(served: Served, remote: Node) -> None:
    await served.run_here()
    files = {"f": File("a.bin", bytes(range(256)), "application/octet-stream")}
    request = HttpRequest(**{**vars(REQUEST), "files": files})
    served.node.response = HttpResponse(
        201, {"A": "b"}, {"n": [None, 1.5, "ü"]}, "application/json", "", truncated=True
    )
    assert await remote.request(request, 5.0) == served.node.response
    assert served.node.requests == [request]


async def test_a_repeatable_request_can_be_read_by_an_older_node(served: Served, remote: Node) -> None:
    await served.run_here()
    await remote.request(replace(REQUEST, repeatable=True), 5.0)
    assert served.node.requests == [REQUEST]  # an older node would refuse a further field


async def test_a_request_to_another_address_is_refused(served: Served, remote: Node) -> None:
    await served.run_here("10.213.0.18")
    with pytest.raises(errors.CommandError, match=f"{ADDRESS} is not the address of a runtime on {NAME}"):
        await remote.request(REQUEST, 5.0)
    assert served.node.requests == []


@pytest.mark.parametrize(
    "changed", [{"scheme": "http://192.0.2.1/"}, {"scheme": "ftp"}, {"port": 0}, {"port": 65536}], ids=str
)
async def test_a_request_with_another_scheme_or_port_is_refused(
    served: Served, remote: Node, changed: dict[str, Any]
) -> None:
    await served.run_here()
    with pytest.raises(errors.CommandError, match="refused the query"):
        await remote.request(HttpRequest(**{**vars(REQUEST), **changed}), 5.0)
    assert served.node.requests == []


@pytest.mark.parametrize(
    "error",
    [
        errors.CommandError("the runtime did not answer"),
        errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer"),
    ],
)
async def test_an_error_of_the_node_arrives_unchanged(served: Served, remote: Node, error: Any) -> None:
    await served.run_here()
    served.node.response = error
    with pytest.raises(type(error)) as raised:
        await remote.request(REQUEST, 5.0)
    assert str(raised.value) == str(error)
    assert getattr(raised.value, "reason", "") == getattr(error, "reason", "")


@pytest.mark.parametrize("key", [{}, {HEADER: "made up"}, {"Authorization": "Bearer x"}], ids=str)
async def test_a_stranger_gets_no_answer_and_no_place(served: Served, key: dict[str, str]) -> None:
    context = await asyncio.to_thread(certificate.client_context, served.own.pem)
    async with aiohttp.ClientSession(headers=key) as session:
        url = served.address.url + "/v1/reading"
        async with session.post(url, data=b"{}", ssl=context, server_hostname=certificate.HOST) as answer:
            assert answer.status == 401
            assert answer.headers["Connection"] == "close"


async def test_while_the_api_is_unavailable_no_caller_is_authenticated(served: Served, remote: Node) -> None:
    def unavailable(verb: str, _: Kind) -> None:
        if verb == "get":
            raise errors.ApiUnavailableError("the API does not answer")

    served.api.fault = unavailable
    with pytest.raises(errors.CommandError, match="cannot authenticate the caller: the API does not answer"):
        await remote.reading()


async def test_without_a_published_key_no_query_is_sent(served: Served, remote: Node) -> None:
    await served.api.delete(kinds.EDGE_NODES, NAME)
    with pytest.raises(errors.CommandError, match=r"node node-1 cannot be queried: .*not found"):
        await remote.reading()


async def test_the_key_is_published_once(served: Served, remote: Node) -> None:
    await asyncio.gather(*(remote.reading() for _ in range(5)))
    assert served.api.requests.count(("patch", "edgenodes")) == 1


async def test_a_former_leader_is_refused_until_it_publishes_its_key_again(served: Served, remote: Node) -> None:
    other = served.remote(served.address)
    await remote.reading()
    await other.reading()
    with pytest.raises(errors.CommandError, match=r"refused the query \(401\): not the leader's key"):
        await remote.reading()
    assert await remote.reading() == await served.node.reading()
    await other.close()


async def test_a_node_with_another_certificate_gets_no_key(served: Served) -> None:
    other = await asyncio.to_thread(certificate.make)
    impostor = served.remote(served.address._replace(certificate=other.pem))
    with pytest.raises(errors.CommandError, match="certificate verify failed"):
        await impostor.reading()
    assert ("get", "edgenodes") not in served.api.requests  # the key was not shown
    await impostor.close()


@pytest.mark.parametrize("pem", ["", "no certificate", "Zertifikat für node-1"])
async def test_an_invalid_certificate_is_an_error_of_that_node(served: Served, pem: str) -> None:
    damaged = served.remote(served.address._replace(certificate=pem))
    with pytest.raises(errors.CommandError, match="node node-1 cannot be reached"):
        await damaged.reading()


async def test_a_node_that_does_not_listen_is_an_error(served: Served, remote: Node) -> None:
    await served.server.stop()
    with pytest.raises(errors.CommandError, match="node node-1 cannot be reached: "):
        await remote.reading()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/reading", b"[]", 400),
        ("/v1/reading", b'{"more": 1}', 400),
        ("/v1/close", b"{}", 404),
        ("/v1/__class__", b"{}", 404),
        ("/", b"{}", 404),
    ],
)
async def test_a_malformed_query_is_refused(served: Served, path: str, body: bytes, status: int) -> None:
    key = await LeaderKey(served.api, NAME, served.own.pem).published()
    context = await asyncio.to_thread(certificate.client_context, served.own.pem)
    async with aiohttp.ClientSession(headers={HEADER: key}) as session:
        url = served.address.url + path
        async with session.post(url, data=body, ssl=context, server_hostname=certificate.HOST) as answer:
            assert answer.status == status


async def test_only_tls_1_3_is_accepted(served: Served) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(served.address.url.replace("https", "http") + "/v1/reading", data=b"{}")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientError):
            await session.post(served.address.url + "/v1/reading", data=b"{}", ssl=old)


async def test_the_directory_queries_the_node_at_its_published_address(served: Served) -> None:
    await served.announce(served.own.pem)
    directory = ClusterNodeDirectory(served.api, served.token, pods=False)
    assert list(await directory.available()) == [NAME]
    runtime = {"spec": {"nodeName": NAME, "deviceId": "plc-1"}}
    assert await (await directory.node_of(runtime)).host_facts() == await served.node.host_facts()
    await directory.refresh()
    assert directory.reading == await served.node.reading()
    await served.server.stop()
    await directory.refresh()
    assert directory.reading == await served.node.reading()  # the last one, as the node is not away yet
    await directory.close()


@pytest.mark.parametrize(
    ("node", "sentence"),
    [(None, "plc-1 has no node yet"), ("nowhere", "there is no node nowhere"), (NAME, "has not published its address")],
)
async def test_a_runtime_whose_node_cannot_be_found_is_an_error(
    served: Served, node: str | None, sentence: str
) -> None:
    await served.announce("")
    directory = ClusterNodeDirectory(served.api, served.token, pods=False)
    with pytest.raises(errors.CommandError, match=sentence):
        await directory.node_of({"spec": {"nodeName": node, "deviceId": "plc-1"}})
    await directory.close()


async def test_the_node_is_queried_for_a_parent_that_its_edge_node_does_not_list(served: Served) -> None:
    await served.announce(served.own.pem)
    status = {"backends": ["Docker"], "interfaces": [{"name": "eth7"}]}
    await served.api.patch(kinds.EDGE_NODES, NAME, "", {"status": status}, subresource="status")
    directory = ClusterNodeDirectory(served.api, served.token, pods=False)
    assert await directory.choose({"interfaces": [{"parentInterface": "br0"}]}) == (NAME, "Docker")
    with pytest.raises(errors.CommandError, match=r"no node has wlan0 \(node-1: it has eth7\)"):
        await directory.choose({"interfaces": [{"parentInterface": "wlan0"}]})
    await served.server.stop()
    with pytest.raises(errors.CommandError, match=r"no node has br0 \(node-1: it has eth7\)"):
        await directory.choose({"interfaces": [{"parentInterface": "br0"}]})
    await directory.close()
