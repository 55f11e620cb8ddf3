"""A leader whose kubeconfig has a credential plugin, on a real API server."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import names
from controller.api import kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_kubeconfig
from tests.cluster import programs
from tests.support import kubeconfigs
from tests.support.edge_cluster import ACCOUNT, EdgeCluster, rights
from tests.support.edge_host import NAMESPACE, EdgeHost, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

# Prints a new token of the leader's account, as the plugins of cloud providers do.
CODE = """
import subprocess
command = [{kubectl!r}, '--kubeconfig', {admin!r}, '-n', {namespace!r}, 'create', 'token', {account!r}, '-o', 'json']
status = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)['status']
open({runs!r}, 'a').write('x')
print(json.dumps(dict(apiVersion='client.authentication.k8s.io/v1', kind='ExecCredential', status=status)))
"""


@pytest.fixture
def kubeconfig(edge_cluster: EdgeCluster, tmp_path: Path) -> Path:
    """A kubeconfig with the plugin, which has no credentials itself; each run adds a byte to the file ``runs``."""
    code = CODE.format(
        kubectl=str(programs.build("kubectl") / "kubectl"),
        admin=str(edge_cluster.kubeconfig),
        namespace=NAMESPACE,
        account=ACCOUNT,
        runs=str(tmp_path / "runs"),
    )
    config: dict[str, Any] = yaml.safe_load(edge_cluster.kubeconfig.read_text())
    config["users"][0]["user"] = kubeconfigs.executing(
        kubeconfigs.plugin(tmp_path / "plugin/get-token", code).name, env=[{"name": "PATH", "value": "/usr/bin:/bin"}]
    )
    return kubeconfigs.write(tmp_path / "plugin/kubeconfig", config)


async def test_a_command_uses_its_token(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/plugin:{os.environ['PATH']}")
    found = await from_kubeconfig(kubeconfig)
    assert found.expires_at is not None
    api = ApiClient(found)
    assert await api.list(kinds.EDGE_NODES) == []
    await api.close()
    assert shutil.which("get-token")


async def renewed_at(edge: EdgeCluster) -> str:
    """The time at which the leader renewed its Lease."""
    return str((await edge.get("lease", "edge-controller"))["spec"]["renewTime"])


async def test_a_leader_and_its_operator_outlive_their_token(
    edge_cluster: EdgeCluster, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/plugin:{os.environ['PATH']}")
    leader: EdgeHost = edge_cluster.process("leader", "link,pods", KUBECONFIG=str(kubeconfig))
    await leader.start()
    assert (tmp_path / "runs").read_text() == "x"

    # Tokens belong to the uid of an account, so this rejects all tokens at once.
    await edge_cluster.kubectl("delete", "serviceaccount", ACCOUNT)
    await edge_cluster.apply(*rights())
    since = await renewed_at(edge_cluster)
    metadata = {"name": "plc-1", "namespace": NAMESPACE}
    spec = {"deviceId": "plc-1", "image": "registry.test/plc", "backend": "Pod", "paused": True}
    await edge_cluster.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec})

    async def handled() -> bool:
        found = await edge_cluster.get("runtime", "plc-1")
        again = len((tmp_path / "runs").read_text()) > 1
        return again and names.FINALIZER in found["metadata"].get("finalizers", ()) and bool(found.get("status"))

    await eventually(handled, f"the operator works on (see {leader.log})", seconds=90)

    async def leads() -> bool:
        return await renewed_at(edge_cluster) > since

    await eventually(leads, "the leader renews its Lease")
    assert "eyJ" not in leader.log_text()
    assert json.loads(await edge_cluster.kubectl("get", "runtimes", "-o", "json"))["items"]
