"""Fixtures of the conformance suite: an API server behind a kubeconfig, kubectl, helm and the ``kubernetes`` client.

Tests do not depend on the server: ``EDGE_TEST_KUBECONFIG`` selects one other than the embedded API.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes
import pytest
import yaml

from controller.api import crds
from controller.apiserver.server import ApiServer
from tests.conformance.shared_server import NAMESPACE, SharedServer

DEFINITION = yaml.safe_load((Path(__file__).parent / "widgets.yaml").read_text())
DEFINITIONS = [DEFINITION, *crds.manifests()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Report the differences that ``@pytest.mark.differs(WHAT, WHY)`` declares (docs/conformance.md)."""
    for item in items:
        item.user_properties += [("difference", json.dumps(mark.args)) for mark in item.iter_markers("differs")]


KUBECTL = os.environ.get("EDGE_TEST_KUBECTL") or str(Path(sys.executable).parent / "kubectl")
HELM = os.environ.get("EDGE_TEST_HELM") or "helm"


@dataclass(frozen=True)
class Api:
    """Access to one server by kubeconfig."""

    kubeconfig: Path
    cache: Path
    embedded: bool

    async def kubectl(
        self, *arguments: str, stdin: Any = None, fails: bool = False, environment: dict[str, str] | None = None
    ) -> str:
        """Run kubectl and return its output. ``fails``: whether it is expected to fail."""
        given = json.dumps(stdin) if stdin is not None else None
        return await self._run(KUBECTL, *arguments, given=given, fails=fails, environment=environment)

    async def helm(self, *arguments: str, fails: bool = False) -> str:
        """Run helm, like ``kubectl``."""
        folders = {f"HELM_{kind}_HOME": str(self.cache / f"helm-{kind}") for kind in ("CACHE", "CONFIG", "DATA")}
        return await self._run(HELM, *arguments, fails=fails, environment=folders)

    async def _run(
        self, program: str, *arguments: str, given: str | None = None, fails: bool, environment: dict[str, str] | None
    ) -> str:
        folders = {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)}
        # Not in a thread: the embedded API uses the same small pool and could run out of threads.
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **folders, **(environment or {})},
        )
        try:
            async with asyncio.timeout(60):
                printed = b"".join(await process.communicate((given or "").encode())).decode()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert (process.returncode != 0) == fails, f"{program} {' '.join(arguments)}: {printed}"
        return printed

    async def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get ... -o json``."""
        found: dict[str, Any] = json.loads(await self.kubectl("get", *arguments, "-o", "json"))
        return found

    async def define(self, definition: dict[str, Any]) -> None:
        """Create a CustomResourceDefinition and wait until its objects are served."""
        await self.kubectl("create", "-f", "-", stdin=definition)
        async with Session(self) as (http, url):
            await SharedServer(http, url).until_served(definition["spec"])

    def client(self) -> kubernetes.client.ApiClient:
        """A client of the ``kubernetes`` package."""
        client: kubernetes.client.ApiClient = kubernetes.config.new_client_from_config(str(self.kubeconfig))
        return client


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A server that serves ``widgets`` and our own kinds in an empty namespace ``edge``."""
    if given := os.environ.get("EDGE_TEST_KUBECONFIG"):
        api = Api(_kubeconfig(Path(given), tmp_path / "kubeconfig"), tmp_path / "cache", embedded=False)
        async with Session(api) as (http, url), SharedServer(http, url).prepared(DEFINITIONS):
            yield api
        return
    server = ApiServer(tmp_path / "state", "127.0.0.1", 0, DEFINITIONS, NAMESPACE)
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, tmp_path / "kubeconfig")
    yield Api(tmp_path / "kubeconfig", tmp_path / "cache", embedded=True)
    await server.stop()


def _kubeconfig(given: Path, path: Path) -> Path:
    """Write a copy of the kubeconfig with the suite's namespace as its default."""
    config = yaml.safe_load(given.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = NAMESPACE
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def widget(name: str, **spec: Any) -> dict[str, Any]:
    """A Widget with this name; ``spec`` extends or overrides the required size."""
    return {
        "apiVersion": "test.getedge.me/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"size": 1, **spec},
    }


class Session:
    """An HTTP session with the client certificate of the kubeconfig, and the server's URL."""

    def __init__(self, api: Api) -> None:
        self._found = api.client().configuration

    async def __aenter__(self) -> tuple[aiohttp.ClientSession, str]:
        context = ssl.create_default_context(cafile=self._found.ssl_ca_cert)
        context.load_cert_chain(self._found.cert_file, self._found.key_file)
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        return self._http, self._found.host

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()


class Charts:
    """Builds Helm charts for a test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, files: dict[str, Any]) -> str:
        """Write a chart with these files and return its folder. Manifests are written as JSON, strings unchanged."""
        chart = {"apiVersion": "v2", "name": "tried", "version": "0.1.0"}
        for name, content in {"Chart.yaml": chart, **files}.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(self._folder)

    @staticmethod
    def config_map(name: str, annotations: dict[str, str]) -> dict[str, Any]:
        """A ConfigMap with the label that ``made`` selects."""
        metadata = {"name": name, "annotations": annotations, "labels": {"made": "by-chart"}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"name": name}}

    @staticmethod
    async def made(api: Api) -> list[dict[str, Any]]:
        """The existing ConfigMaps of charts."""
        found: list[dict[str, Any]] = (await api.get("configmaps", "-l", "made=by-chart"))["items"]
        return found


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    """A builder of Helm charts."""
    return Charts(tmp_path / "chart")
