"""The operators of two nodes on one real API: each handles its own Runtimes, and no finalizer is removed too early."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.cluster.control_plane import ControlPlane
from tests.runtimes.operator.conftest import operating
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NODES = ("node-1", "node-2")


class FinalizerWatch:
    """Watches Runtimes; ``lost`` are those that lost their finalizer without being deleted."""

    def __init__(self, api: ApiClient) -> None:
        self.lost: list[str] = []
        self._held: set[str] = set()
        self._task = asyncio.create_task(self._watch(api))

    async def _watch(self, api: ApiClient) -> None:
        while True:
            with contextlib.suppress(errors.ApiUnavailableError):  # the API serves a new CRD only after a moment
                await self._follow(api)

    async def _follow(self, api: ApiClient) -> None:
        async for event in api.watch(kinds.RUNTIMES, NAMESPACE):
            if event.type == "BOOKMARK":
                continue
            metadata = event.object["metadata"]
            held = names.FINALIZER in metadata.get("finalizers", ())
            if not held and metadata["name"] in self._held and "deletionTimestamp" not in metadata:
                self.lost.append(metadata["name"])
            self._held |= {metadata["name"]} if held else set()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
def where(control_plane: ControlPlane, edge_cluster: EdgeCluster) -> Endpoint:
    """The API as an administrator, with credentials in files as in a pod."""
    pki = control_plane.kubeconfig.parent / "pki"
    admin = edge_cluster.kubeconfig.stem
    return Endpoint(
        control_plane.url, pki / "ca.crt", client_cert=pki / f"{admin}.crt", client_key=pki / f"{admin}.key"
    )


@pytest.fixture
async def api(where: Endpoint) -> AsyncIterator[ApiClient]:
    """An administrator's client."""
    api = ApiClient(where)
    yield api
    await api.close()


async def test_two_operators_do_not_interfere(where: Endpoint, api: ApiClient) -> None:
    watch = FinalizerWatch(api)
    selectors = {node: f"spec.nodeName={node},spec.backend=Docker" for node in NODES}
    async with (
        operating(where, "node-1", claims=False, field_selector=selectors["node-1"]) as one,
        operating(where, "node-2", claims=False, field_selector=selectors["node-2"]) as two,
    ):
        hosts: dict[str, Any] = {"node-1": one, "node-2": two}
        for node, edge in hosts.items():
            for number in range(3):
                await edge.create(f"{node}-plc-{number}", nodeName=node, backend="Docker")
            await edge.create(f"{node}-pod", nodeName=node, backend="Pod")
        for node, edge in hosts.items():
            for number in range(3):
                await edge.ready(f"{node}-plc-{number}")
                patch = {"spec": {"desiredState": "Stopped"}}
                await api.patch(kinds.RUNTIMES, f"{node}-plc-{number}", NAMESPACE, patch)
                await edge.until(f"{node}-plc-{number}", lambda o: o["status"].get("state") == "Stopped")
        for node, edge in hosts.items():
            assert {i.device_id for i in edge.backend.containers} == {f"{node}-plc-{n}" for n in range(3)}
            assert edge.backend.effects.count("create") == 3
            assert "finalizers" not in (await edge.get(f"{node}-pod"))["metadata"]
        await api.delete(kinds.RUNTIMES, "node-2-plc-0", NAMESPACE)
        await two.until("node-2-plc-0", lambda o: o == {})
        assert len(two.backend.containers) == 2
        assert len(one.backend.containers) == 3
    assert watch.lost == []
    await watch.close()
