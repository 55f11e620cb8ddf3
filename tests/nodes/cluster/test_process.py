"""A process with only the leader's role: what it needs, what it does without an API, how it stops."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.localcloud.server import Cloud
from controller.machinery import endpoint
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from tests.support import command, kubeconfigs
from tests.support.edge_host import AGENT, NAMESPACE, EdgeHost, eventually


@pytest.fixture
async def leader(tmp_path: Path, cloud: Cloud) -> AsyncIterator[EdgeHost]:
    """A leader that is not started yet; nothing listens at the address in its kubeconfig."""
    edge = EdgeHost(
        tmp_path, f"unix://{tmp_path}/missing.sock", cloud, await cloud.enroll(AGENT), "registry.test/a", "1"
    )
    edge.environment |= {"EDGE_API": "cluster", "EDGE_ROLES": "link", "KUBECONFIG": str(tmp_path / "kubeconfig")}
    yield edge
    await edge.close()


async def serve(folder: Path) -> ApiServer:
    """Start an API and write a kubeconfig for it."""
    server = ApiServer(folder / "api", "127.0.0.1", 0, crds.manifests(), NAMESPACE)
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, folder / "kubeconfig")
    return server


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """The API in the leader's kubeconfig."""
    server = await serve(tmp_path)
    yield server
    await server.stop()


async def test_it_leads_and_releases_the_lease_at_the_end(
    leader: EdgeHost, api_server: ApiServer, tmp_path: Path
) -> None:
    await leader.start()
    api = ApiClient(await endpoint.from_kubeconfig(tmp_path / "kubeconfig"))
    assert (await api.get(core_kinds.LEASES, "edge-controller", NAMESPACE))["spec"]["holderIdentity"]
    assert (await leader.send("get_device_status", device_id="plc-1"))["status"] == "not_found"
    refused = await leader.create("plc-1", "eth0", "10.0.0.5/24")
    assert refused["error"].startswith("there is no node yet")
    assert await api.list(kinds.EDGE_NODES) == []
    assert await leader.stop() == 0
    assert not (await api.get(core_kinds.LEASES, "edge-controller", NAMESPACE))["spec"].get("holderIdentity")
    await api.close()


@pytest.mark.parametrize(
    ("role", "loaded"),
    [("manager", []), ("leader", []), ("link", ["socketio"]), ("pods", []), ("node", [])],
)
def test_a_process_loads_only_the_libraries_of_its_roles(role: str, loaded: list[str]) -> None:
    libraries = ("docker", "kopf", "socketio", "cryptography")  # the first two are loaded by their threads
    code = f"import sys, controller.manager.{role}; print([m for m in {libraries} if m in sys.modules])"
    assert command.run(sys.executable, "-c", code).stdout.strip() == str(loaded)


@pytest.mark.parametrize("roles", ["link,pods", "node"])
async def test_it_reads_its_kubeconfig_without_the_kubernetes_package_in_its_process(
    leader: EdgeHost, api_server: ApiServer, roles: str
) -> None:
    await leader.start({"PYTHONPROFILEIMPORTTIME": "1", "EDGE_ROLES": roles}, connected=False)
    assert "kubernetes" not in await leader.imports_once_kopf_runs()


async def test_it_runs_the_credential_plugin_of_its_kubeconfig(
    leader: EdgeHost, api_server: ApiServer, tmp_path: Path
) -> None:
    token = (await asyncio.to_thread(api_server.credentials, "admin")).token
    code = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n" + kubeconfigs.printing(token=token)
    made = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    made["users"][0]["user"] = kubeconfigs.executing(kubeconfigs.plugin(tmp_path / "plugin", code))
    kubeconfigs.write(tmp_path / "kubeconfig", made)
    await leader.start()
    assert (tmp_path / "runs").read_text() == "x"
    assert token not in leader.log_text()


async def test_a_plugin_that_fails_ends_it_with_one_sentence(leader: EdgeHost, tmp_path: Path) -> None:
    user = kubeconfigs.executing(kubeconfigs.plugin(tmp_path / "get-token", "sys.exit('log in first')"))
    kubeconfigs.write(tmp_path / "kubeconfig", kubeconfigs.document(user=user))
    await leader.start(connected=False)
    assert leader.process is not None
    assert await asyncio.wait_for(leader.process.wait(), 30) == 1
    (line,) = leader.log_text().splitlines()
    assert "the credential plugin get-token failed: process returned 1. log in first" in line


async def test_it_can_be_stopped_while_a_plugin_hangs(leader: EdgeHost, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'runs')!r}, 'w').close()\ntime.sleep(600)"
    user = kubeconfigs.executing(kubeconfigs.plugin(tmp_path / "plugin", code))
    kubeconfigs.write(tmp_path / "kubeconfig", kubeconfigs.document(user=user))
    await leader.start(connected=False)

    async def hangs() -> bool:
        return (tmp_path / "runs").exists()

    await eventually(hangs, "the plugin hangs")
    assert await leader.stop() == 0
    assert "Traceback" not in leader.log_text()


async def test_it_keeps_no_files_of_a_node(leader: EdgeHost, api_server: ApiServer) -> None:
    await leader.start()
    assert {path.name for path in leader.state.iterdir()} == {"install-id", "node-name", "lock"}


async def test_it_can_be_stopped_while_it_waits_for_the_api(leader: EdgeHost, tmp_path: Path) -> None:
    server = await serve(tmp_path)
    await server.stop()
    await leader.start(connected=False)

    async def is_waiting() -> bool:
        return "Waiting for the installation's ConfigMap" in leader.log_text()

    await eventually(is_waiting, "it waits for the API")
    assert await leader.stop() == 0
    assert "Traceback" not in leader.log_text()


async def test_without_a_cluster_it_exits_with_one_sentence(leader: EdgeHost) -> None:
    del leader.environment["KUBECONFIG"]
    await leader.start(connected=False)
    assert leader.process is not None
    assert await asyncio.wait_for(leader.process.wait(), 30) == 1
    (line,) = leader.log_text().splitlines()
    assert "EDGE_API is cluster, but no cluster is configured" in line
