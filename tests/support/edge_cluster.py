"""Controllers with several roles as real processes on one Kubernetes API, with a local cloud.

``kubeconfig`` gives administrator access to any API. The processes have exactly the accounts and rights that the chart
gives to their roles.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from controller import names
from controller.api import crds
from tests.support.edge_host import NAMESPACE, EdgeHost

ACCOUNT = "edge-controller"  # of the leader
NODE_ACCOUNT = f"{ACCOUNT}-node"
BOTH_ACCOUNT = f"{ACCOUNT}-both"  # of a process with all roles, which is not in the chart
_MANIFEST = Path(__file__).parents[2] / "manifests/cluster/edge-controller.yaml"
_RIGHTS = ("ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
_NAMESPACED = f"{NODE_ACCOUNT}-runtimes"
SECRETS = ["registry"]


class EdgeCluster:
    """The processes of one installation; ``close`` stops them all."""

    def __init__(self, directory: Path, kubectl: Path, kubeconfig: Path, cloud: Any, certificates: Path) -> None:
        self.directory = directory
        self.cloud = cloud
        self.token = directory / "token"
        self._kubectl = kubectl
        self.kubeconfig = kubeconfig
        self._certificates = certificates
        self._processes: list[EdgeHost] = []

    async def prepare(self) -> None:
        """Create the kinds, the namespace, and an account with a token for nodes."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await self.apply(namespace, *crds.manifests(), *rights())
        await self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self.token.write_text(await self.make_token(names.NODE_AUDIENCE))
        for account in (ACCOUNT, NODE_ACCOUNT, BOTH_ACCOUNT):
            await self.write_kubeconfig(self._kubeconfig_of(account), await self.make_token(account=account))

    async def make_token(self, audience: str = "", account: str = ACCOUNT, node: str = "") -> str:
        """Request a token of a ServiceAccount, as a pod on ``node`` gets it."""
        wanted = (f"--audience={audience}",) if audience else ()
        bound = ("--bound-object-kind=Node", f"--bound-object-name={node}") if node else ()
        return (await self.kubectl("create", "token", account, *wanted, *bound)).strip()

    async def write_kubeconfig(self, path: Path, token: str) -> None:
        """Write a kubeconfig for a token."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path.write_text(yaml.safe_dump(config))

    def process(self, name: str, roles: str, **environment: str) -> EdgeHost:
        """Return a controller with these roles, not started yet; without an engine unless ``environment`` names one."""
        folder = self.directory / name
        folder.mkdir()
        missing = f"unix://{folder}/missing.sock"
        edge = EdgeHost(folder, missing, self.cloud, self._certificates, "registry.test/runtime", "1")
        edge.environment |= {
            "EDGE_API": "cluster",
            "EDGE_ROLES": roles,
            "EDGE_NODE_NAME": name,
            "EDGE_NODE_LISTEN": "127.0.0.1:0",
            "EDGE_NODE_TOKEN": str(self.token),
            "KUBECONFIG": str(self._kubeconfig_of(_account(roles))),
            **environment,
        }
        self._processes.append(edge)
        return edge

    async def run(self, command: str) -> str:
        """Run one of our commands as a person would; return its output."""
        environment = {**os.environ, "EDGE_API": "cluster", "KUBECONFIG": str(self.kubeconfig)}
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controller", command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(done.communicate(), 60)
        assert done.returncode == 0, f"edge-controller {command} failed"
        return output.decode()

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator in the runtimes' namespace; return its output."""
        own = [str(self._kubectl), f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}"]
        done = await asyncio.to_thread(
            subprocess.run, [*own, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    async def apply(self, *objects: dict[str, Any], manager: str = "kubectl") -> None:
        """Apply objects server-side, even if a release of another test owned them before.

        A Runtime of the cloud needs the field manager of the controller, as any other one would take it over.
        """
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        options = ("--server-side", "--force-conflicts", f"--field-manager={manager}")
        await self.kubectl("apply", *options, "-f", "-", stdin=json.dumps(listed))

    async def get(self, what: str, name: str) -> dict[str, Any]:
        """Return one object."""
        found: dict[str, Any] = json.loads(await self.kubectl("get", what, name, "-o", "json"))
        return found

    async def close(self) -> None:
        """Stop every process, regardless of its state."""
        for edge in self._processes:
            if edge.process is not None and edge.process.returncode is None:
                edge.process.kill()
                await edge.process.wait()
        await self._empty()
        forbidden = [
            line for edge in self._processes for line in edge.log_text().splitlines() if "is forbidden" in line
        ]
        assert not forbidden, "the chart gives too few rights"

    def _kubeconfig_of(self, account: str) -> Path:
        return self.directory / f"{account}.kubeconfig"

    async def _empty(self) -> None:
        """Remove everything but the kinds for the next test."""
        plurals = "runtimes.getedge.me,runtimecommands.getedge.me,leases.coordination.k8s.io"
        runtimes = (await self.kubectl("get", "runtimes.getedge.me", "-o", "name")).split()
        for runtime in runtimes:
            await self.kubectl("patch", runtime, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        await self.kubectl("delete", plurals, "--all", "--wait")
        await self.kubectl("delete", "edgenodes.getedge.me", "--all", "--wait")
        await self.kubectl("delete", f"configmap/{ACCOUNT}", "--ignore-not-found")


def rights() -> list[dict[str, Any]]:
    """Create the chart's accounts with their rights, and one account with all rights. The chart's runtimeSecrets are
    those of ``SECRETS``.
    """
    given = rendered(*_RIGHTS)
    (namespaced,) = (each for each in given if (each["kind"], each["metadata"]["name"]) == ("Role", _NAMESPACED))
    secrets = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": SECRETS, "verbs": ["get"]}
    namespaced["rules"].append(secrets)
    both = {"kind": "ServiceAccount", "name": BOTH_ACCOUNT, "namespace": NAMESPACE}
    for binding in (each for each in given if each["kind"].endswith("Binding")):
        binding["subjects"].append(both)
    metadata = {"name": BOTH_ACCOUNT, "namespace": NAMESPACE}
    return [*given, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}]


def rendered(*kinds: str) -> list[dict[str, Any]]:
    """The objects of these kinds that the chart renders by default."""
    return [each for each in yaml.safe_load_all(_MANIFEST.read_text()) if each["kind"] in kinds]


def _account(roles: str) -> str:
    wanted = set(roles.split(","))
    if "node" not in wanted:
        return ACCOUNT
    return NODE_ACCOUNT if wanted == {"node"} else BOTH_ACCOUNT
