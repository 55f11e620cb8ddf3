"""A Runtime takes over the container of a deleted Runtime with the same deviceId, without a restart."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from controller import names
from controller.api import kinds
from controller.boottime import Boot
from controller.machinery.event_recorder import EventRecorder
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.reconcile_context import ReconcilerDependencies
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.result import Result
from controller.runtimes.scope import Scope
from tests.backends.conftest import BackendHarness, interface
from tests.support.direct_api import DirectApi
from tests.support.lan import Lan

pytestmark = pytest.mark.docker

NODE = "node-1"


@dataclass
class ReconcilerHarness:
    """A reconciler with an in-memory API and a real engine, and Runtimes with one deviceId."""

    harness: BackendHarness
    device_id: str
    api: DirectApi

    def __post_init__(self) -> None:
        scope, index = Scope("Docker", NODE, claims=True), KeyIndex()
        recorder = EventRecorder(self.api, NODE, time.time)
        dependencies = ReconcilerDependencies(
            api=self.api,
            backend=self.harness.backend,
            node=NODE,
            image_prefixes=(),
            clock=time.time,
            boot=Boot(),
            engine=EngineContact(),
        )
        self.reconciler = Reconciler(dependencies, self.harness.install_id, recorder, index, scope)

    async def add(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": "edge", "finalizers": [names.FINALIZER]}
        wanted = {"deviceId": self.device_id, "image": self.harness.image, "version": "1"}
        grace = {"terminationGracePeriodSeconds": 1}
        await self.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": wanted | grace | spec})

    async def reconcile(self, name: str) -> Result:
        return await self.reconciler.reconcile(Key("edge", name), asyncio.Event())

    async def delete(self, name: str) -> None:
        await self.api.delete(kinds.RUNTIMES, name, "edge")
        assert (await self.reconcile(name)).settled
        await self.api.remove(kinds.RUNTIMES, name, "edge")

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects[kinds.RUNTIMES.plural, "edge", name]["status"]
        return found


@pytest.fixture
def node(harness: BackendHarness, direct_api: DirectApi) -> ReconcilerHarness:
    return ReconcilerHarness(harness, f"plc-{harness.install_id}", direct_api)


async def test_the_successor_has_the_same_container_networks_and_data(
    node: ReconcilerHarness, lan: Lan, docker_client: docker.DockerClient
) -> None:
    data = {"name": "data", "mountPath": "/data", "reclaimPolicy": "Delete"}
    spec = {"interfaces": [interface(lan, 60)], "volumes": [data]}
    await node.add("a", **spec)
    assert (await node.reconcile("a")).settled
    before = docker_client.api.inspect_container(node.device_id)
    await node.add("b", **spec)
    assert (await node.reconcile("b")).outcome.kind == "stalled"

    await node.delete("a")
    assert (await node.reconcile("b")).settled

    after = docker_client.api.inspect_container(node.device_id)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert node.status("b")["startedAt"] == before["State"]["StartedAt"]
    assert await asyncio.to_thread(lan.ping, lan.address(60))
    assert [line for line in await node.harness.backend.list_objects(volumes=True) if line.startswith("volume")]
    await node.delete("b")
    assert await node.harness.backend.list_objects(volumes=True) == []


async def test_of_two_concurrent_runtimes_one_creates_the_container_and_the_other_does_nothing(
    node: ReconcilerHarness, docker_client: docker.DockerClient
) -> None:
    for name in ("a", "b"):
        await node.add(name, env=[{"name": "WHO", "value": name}])
    await asyncio.gather(node.reconcile("a"), node.reconcile("b"))
    made = docker_client.api.inspect_container(node.device_id)
    for _ in range(2):
        await asyncio.gather(node.reconcile("a"), node.reconcile("b"))
    after = docker_client.api.inspect_container(node.device_id)
    assert (after["Id"], after["State"]["StartedAt"]) == (made["Id"], made["State"]["StartedAt"])
