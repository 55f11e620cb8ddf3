"""Controllers of several roles as real processes on one Kubernetes API, with the local cloud beside them.

The API is any that ``kubeconfig`` opens as an administrator. The leader's token for nodes is a real one of a
ServiceAccount, which may ask nodes and do nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from controller import names
from controller.resources import crds
from tests.support.site import NAMESPACE, Site

ACCOUNT = "edge-controller"
PROXY_ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "ask-nodes"},
    "rules": [{"apiGroups": [names.GROUP], "resources": ["edgenodes/proxy"], "verbs": ["create"]}],
}


class ClusterSite:
    """The processes of one installation; ``close`` stops all that were started."""

    def __init__(self, directory: Path, kubectl: Path, kubeconfig: Path, cloud: Any, certificates: Path) -> None:
        self.directory = directory
        self.cloud = cloud
        self.token = directory / "token"
        self._kubectl = kubectl
        self.kubeconfig = kubeconfig
        self._certificates = certificates
        self._processes: list[Site] = []

    async def prepare(self) -> None:
        """Kinds, namespace, and an account with a token for nodes."""
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "ask-nodes"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ask-nodes"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        }
        metadata = {"name": ACCOUNT, "namespace": NAMESPACE}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await self.apply(namespace, *crds.manifests(), account, PROXY_ROLE, binding)
        await self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self.token.write_text(await self.make_token(names.NODE_AUDIENCE))

    async def make_token(self, audience: str = "", account: str = ACCOUNT) -> str:
        """A token of a ServiceAccount."""
        wanted = (f"--audience={audience}",) if audience else ()
        return (await self.kubectl("create", "token", account, *wanted)).strip()

    def process(self, name: str, roles: str, **environment: str) -> Site:
        """A controller of those roles, not started yet; it has no Docker engine unless ``environment`` names one."""
        folder = self.directory / name
        folder.mkdir()
        missing = f"unix://{folder}/missing.sock"
        site = Site(folder, missing, self.cloud, self._certificates, "registry.test/runtime", "1")
        site.environment |= {
            "EDGE_API": "cluster",
            "EDGE_ROLES": roles,
            "EDGE_NODE_NAME": name,
            "EDGE_NODE_LISTEN": "127.0.0.1:0",
            "EDGE_NODE_TOKEN": str(self.token),
            "KUBECONFIG": str(self.kubeconfig),
            **environment,
        }
        self._processes.append(site)
        return site

    async def run(self, command: str) -> str:
        """What a command of ours prints, given by a person."""
        environment = {**os.environ, "EDGE_API": "cluster", "KUBECONFIG": str(self.kubeconfig)}
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "controller", command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(done.communicate(), 60)
        assert done.returncode == 0, f"edge-controller {command} failed"
        return output.decode()

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints, as the administrator, in the namespace of the runtimes."""
        own = [str(self._kubectl), f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}"]
        done = await asyncio.to_thread(
            subprocess.run, [*own, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    async def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects on the server, whoever had them before: a release of another test may have."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        await self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed))

    async def get(self, what: str, name: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(await self.kubectl("get", what, name, "-o", "json"))
        return found

    async def close(self) -> None:
        """Stop every process, whatever state it is in."""
        for site in self._processes:
            if site.process is not None and site.process.returncode is None:
                site.process.kill()
                await site.process.wait()
        await self._empty()

    async def _empty(self) -> None:
        """Another test finds the kinds and nothing else."""
        plurals = "runtimes.getedge.me,runtimecommands.getedge.me,leases.coordination.k8s.io"
        runtimes = (await self.kubectl("get", "runtimes.getedge.me", "-o", "name")).split()
        for runtime in runtimes:
            await self.kubectl("patch", runtime, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        await self.kubectl("delete", plurals, "--all", "--wait")
        await self.kubectl("delete", "edgenodes.getedge.me", "--all", "--wait")
        await self.kubectl("delete", f"configmap/{ACCOUNT}", "--ignore-not-found")
