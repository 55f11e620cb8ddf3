"""The controller as a process: failures at the start, the files it writes, and its stop.

There is no engine here and mostly no cloud: the rest must work without either.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.api import kinds
from controller.localcloud.server import Cloud
from controller.machinery import endpoint
from controller.machinery.client import ApiClient
from controller.state import State
from tests.support.certificates import Authority
from tests.support.edge_host import AGENT, EdgeHost, eventually

HERE = "127.0.0.1"


@pytest.fixture
async def edge(tmp_path: Path, cloud: Cloud) -> AsyncIterator[EdgeHost]:
    """A controller without an engine, not started yet."""
    enrolled = await cloud.enroll(AGENT)
    edge = EdgeHost(tmp_path, f"unix://{tmp_path}/missing.sock", cloud, enrolled, "registry.test/runtime", "1")
    yield edge
    await edge.close()


async def kubernetes(edge: EdgeHost) -> ApiClient:
    """A client with the kubeconfig written by the controller."""

    async def written() -> bool:
        return (edge.state / "kubeconfig").exists()

    await eventually(written, f"a kubeconfig ({edge.log_text()})")
    return ApiClient(await endpoint.from_kubeconfig(edge.state / "kubeconfig"))


async def node_condition(api: ApiClient, kind: str, reason: str = "") -> dict[str, Any]:
    """Wait for a condition of the EdgeNode, optionally with this reason."""

    async def found() -> dict[str, Any] | None:
        nodes = await api.list(kinds.EDGE_NODES)
        conditions = nodes[0].get("status", {}).get("conditions", []) if nodes else []
        return next((c for c in conditions if c["type"] == kind and reason in ("", c["reason"])), None)

    condition: dict[str, Any] = await eventually(found, f"condition {kind} of the EdgeNode")
    return condition


async def cause(api: ApiClient, word: str = "missing") -> str:
    """Wait for the EdgeNode's message about the link that contains ``word``."""

    async def reported() -> str:
        message: str = (await node_condition(api, "CloudConnected"))["message"]
        return message if word in message else ""

    text: str = await eventually(reported, "the cause in the condition")
    return text


async def exit_of(edge: EdgeHost) -> tuple[int, list[str]]:
    """Return exit status and log of a controller that exits on its own."""
    assert edge.process is not None
    status = await asyncio.wait_for(edge.process.wait(), 30)
    return status, edge.log_text().splitlines()


async def test_without_an_engine_it_serves_and_reports_it(edge: EdgeHost) -> None:
    await edge.start()
    api = await kubernetes(edge)
    ready = await node_condition(api, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "DockerUnreachable")
    assert "DOCKER_HOST" in ready["message"]
    connected = await node_condition(api, "CloudConnected", "Connected")
    assert connected["status"] == "True"
    await api.close()


async def test_its_process_does_not_import_what_only_a_cluster_or_nobody_needs(edge: EdgeHost) -> None:
    await edge.start({"PYTHONPROFILEIMPORTTIME": "1"})
    of_clusters = {"controller.backends.pods", "controller.nodes.cluster", "controller.manager.leader"}
    # With a submodule: a hidden package is in the list too, as Python looked for it.
    unused = {"kubernetes", "websocket._core", "charset_normalizer.api", "cryptography"}
    assert not await edge.imports_once_kopf_runs() & (of_clusters | unused)


async def test_a_cloud_command_is_stored_without_an_engine(edge: EdgeHost) -> None:
    await edge.start()
    answer = await edge.create("plc-1", "eth0", "10.9.9.5/24")
    assert answer["status"] == "creating"
    await edge.kill()
    await edge.start()
    assert (await edge.status("plc-1"))["status"] == "creating"


async def test_the_kubeconfig_is_private_and_has_the_clouds_namespace(edge: EdgeHost) -> None:
    await edge.start()
    path = edge.state / "kubeconfig"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "namespace: edge" in path.read_text()


async def test_a_clean_stop_exits_with_status_0(edge: EdgeHost) -> None:
    await edge.start()
    assert edge.process is not None
    edge.process.terminate()
    assert await asyncio.wait_for(edge.process.wait(), 30) == 0
    assert "Stopped" in edge.log_text()
    assert '"level": "error"' not in edge.log_text()


async def test_a_stop_during_the_start_is_clean_too(edge: EdgeHost) -> None:
    await edge.start(connected=False)

    async def locked() -> bool:
        return (edge.state / "lock").exists()

    await eventually(locked, "the start")
    await eventually(lambda: asyncio.sleep(0, (edge.state / "api").exists()), "the API starts")
    assert await edge.stop() == 0


async def test_a_missing_certificate_is_waited_for_and_then_used(edge: EdgeHost) -> None:
    certificate = Path(edge.environment["EDGE_CLIENT_CERT"])
    kept = certificate.read_bytes()
    certificate.unlink()
    await edge.start(connected=False)
    api = await kubernetes(edge)
    condition = await node_condition(api, "CloudConnected")
    assert condition["reason"] == "Disconnected"
    assert str(certificate) in await cause(api)
    certificate.write_bytes(kept)
    await edge.cloud.wait_agent(AGENT, timeout=60)
    await api.close()


@pytest.mark.parametrize("kind", ["damaged", "expired", "mismatched"])
async def test_an_unusable_certificate_only_affects_the_link(
    edge: EdgeHost, certificates: Authority, kind: str
) -> None:
    pair = certificates.mismatched(AGENT) if kind == "mismatched" else certificates.expired(AGENT)
    if kind == "damaged":
        pair.certificate.write_text("no certificate")
    environment = {"EDGE_CLIENT_CERT": str(pair.certificate), "EDGE_CLIENT_KEY": str(pair.key)}
    await edge.start(environment, connected=False)
    api = await kubernetes(edge)
    assert (await node_condition(api, "CloudConnected"))["status"] == "False"
    assert await api.list(kinds.RUNTIMES, "edge") == []
    await api.close()


async def test_the_first_certificate_names_the_installation_permanently(
    edge: EdgeHost, certificates: Authority
) -> None:
    await edge.start()
    await edge.stop()
    (edge.state / "kubeconfig").unlink()  # its port is outdated
    other = certificates.agent("99999999")
    environment = {"EDGE_CLIENT_CERT": str(other.certificate), "EDGE_CLIENT_KEY": str(other.key)}
    await edge.start({**environment, "EDGE_NODE_NAME": "renamed"}, connected=False)
    api = await kubernetes(edge)
    await node_condition(api, "Ready")
    assert [node["metadata"]["name"] for node in await api.list(kinds.EDGE_NODES)] == ["test-node"]
    assert await asyncio.to_thread(State(edge.state).known_install_id) == AGENT
    await api.close()


async def test_without_a_cloud_there_is_no_link_and_no_error(edge: EdgeHost) -> None:
    await edge.start({"EDGE_CLOUD_URL": ""}, connected=False)
    api = await kubernetes(edge)
    assert (await node_condition(api, "CloudConnected"))["reason"] == "NoCloud"
    await api.close()


async def test_an_unencrypted_cloud_url_only_affects_the_link(edge: EdgeHost) -> None:
    await edge.start({"EDGE_CLOUD_URL": "http://plant.example"}, connected=False)
    api = await kubernetes(edge)
    assert "give it as https://HOST" in await cause(api, "unencrypted")
    assert (await node_condition(api, "CloudConnected"))["reason"] == "Disconnected"
    assert await api.list(kinds.RUNTIMES, "edge") == []
    await api.close()


async def test_a_retired_agent_does_not_connect_to_the_cloud(edge: EdgeHost) -> None:
    await asyncio.to_thread(State(edge.state).retire)
    await edge.start(connected=False)
    api = await kubernetes(edge)
    assert (await node_condition(api, "CloudConnected"))["reason"] == "Retired"
    assert edge.cloud.agents.session(AGENT) is None
    await api.close()


async def test_a_second_controller_on_the_same_state_is_refused(edge: EdgeHost, tmp_path: Path) -> None:
    await edge.start()
    other = EdgeHost(tmp_path, edge.environment["DOCKER_HOST"], edge.cloud, tmp_path, "registry.test/runtime", "1")
    other.log = tmp_path / "second.log"
    await other.start(connected=False)
    status, lines = await exit_of(other)
    assert status == 1
    assert len(lines) == 1
    assert "another edge-controller uses" in lines[0]


@pytest.mark.parametrize("setting", ["EDGE_API_LISTEN", "EDGE_HTTP_LISTEN"])
async def test_a_port_in_use_fails_the_start_with_one_sentence(edge: EdgeHost, setting: str) -> None:
    with socket.create_server((HERE, 0)) as taken:
        await edge.start({setting: f"{HERE}:{taken.getsockname()[1]}"}, connected=False)
        status, lines = await exit_of(edge)
    assert status == 1
    assert lines[-1].startswith(f"edge-controller: {setting}")
    assert not any("Traceback" in line for line in lines)


async def test_health_readiness_and_metrics_share_one_port(edge: EdgeHost, free_port: int) -> None:
    await edge.start({"EDGE_HTTP_LISTEN": f"{HERE}:{free_port}"})
    async with aiohttp.ClientSession(f"http://{HERE}:{free_port}") as session:
        health, ready, metrics = [await session.get(path) for path in ("/healthz", "/readyz", "/metrics")]
        assert (health.status, ready.status, metrics.status) == (200, 503, 200)
        assert "docker: " in await ready.text()
        assert "edge_cloud_connected 1.0" in await metrics.text()


async def test_a_request_without_credentials_is_refused(edge: EdgeHost) -> None:
    await edge.start()
    found = await endpoint.from_kubeconfig(edge.state / "kubeconfig")
    context = ssl.create_default_context(cadata=found.ca_data)
    async with aiohttp.ClientSession() as session, session.get(f"{found.url}/api", ssl=context) as answer:
        assert answer.status == 403
        assert 'User "system:anonymous" cannot get path "/api"' in (await answer.json())["message"]


async def test_the_json_log_names_command_and_runtime(edge: EdgeHost) -> None:
    await edge.start()
    await edge.create("plc-1", "eth0", "10.9.9.5/24")
    entries = [json.loads(line) for line in edge.log_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(entry) for entry in entries)
    assert any(entry.get("command") and entry.get("runtime") == "plc-1" for entry in entries)
