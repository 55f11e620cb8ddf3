"""Backends on the session's engine or cluster, one installation per test, and targets for them."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

import docker
import pytest

from controller import errors
from controller.api import kinds, runtimes
from controller.backends import base
from controller.backends.base import Identity, Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from controller.backends.observation import Observed
from controller.backends.pods import naming
from controller.backends.pods.backend import PodsBackend
from controller.devices.serial_device import SerialDevice
from controller.machinery import endpoint
from controller.machinery.client import ApiClient
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.interface_passthrough import InterfacePassthrough
from tests.cluster import nodes
from tests.support import dockerd, image
from tests.support.lan import Lan
from tests.support.stub_engine import StubEngine

INTERNAL_POOL = IPv4Network("10.213.0.0/16")


@dataclass
class ProgressRecorder:
    """Records the progress reports of a step."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, reason: str, message: str) -> None:
        self.lines.append((reason, message))


@dataclass
class BackendHarness:
    """A backend under test with its installation: builds targets, and runs steps one after the other.

    ``own`` creates the Runtime of a target and returns its uid, for backends whose objects need an existing owner.
    """

    backend: Any
    install_id: str
    image: str
    progress: ProgressRecorder = field(default_factory=ProgressRecorder)
    own: Callable[[Target], Awaitable[str]] | None = None
    uids: dict[str, str] = field(default_factory=dict)

    def target(self, device: str = "plc1", *, uid: str = "uid-1", **spec: Any) -> Target:
        """A target with version 1 of the test image by default, and a name that is unique in the session."""
        name = f"{device}-{self.install_id}"
        fields = {"deviceId": name, "image": self.image, "version": "1", "terminationGracePeriodSeconds": 1, **spec}
        identity = Identity(self.install_id, "edge", name)
        return Target(identity, name, self.uids.get(name, uid), 1, runtimes.RuntimeSpec.model_validate(fields))

    async def run(self, target: Target, *steps: base.Step) -> Target:
        """Execute the steps in order."""
        for step in steps:
            target = await self.backend.execute(step, target, self.progress)
        return target

    async def up(self, target: Target) -> Target:
        """Create and start a runtime, and wait until it runs."""
        target = await self.create_and_start(target)
        await self.settled(target)
        return target

    async def create_and_start(self, target: Target) -> Target:
        """Create and start a runtime, without waiting for the result."""
        if self.own:
            self.uids[target.name] = await self.own(target)
            target = dataclasses.replace(target, uid=self.uids[target.name])
        return await self.run(target, base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER)

    async def settled(self, target: Target, *, healthy: bool = False) -> Observed:
        """The state once it no longer starts or stops; ``healthy``: and once its health is decided, too."""
        return await self._until(
            target,
            lambda observed: (
                observed.state not in ("starting", "removing") and not (healthy and observed.health == "starting")
            ),
        )

    async def blocked(self, target: Target, reason: str) -> Observed:
        """The state once it has a blocker with this reason."""
        return await self._until(
            target, lambda observed: observed.blocker is not None and observed.blocker.reason == reason
        )

    async def _until(self, target: Target, wanted: Callable[[Observed], bool]) -> Observed:
        """The first state that matches, checked at every change."""
        async with asyncio.timeout(60), aclosing(self.backend.changes()) as changes:
            async for _ in changes:
                observed: Observed = await self.backend.observe(target)
                if wanted(observed):
                    return observed
        raise AssertionError("the changes ended")

    async def ready(self, target: Target) -> None:
        """Wait until the runtime's program logs that it is ready."""
        async with asyncio.timeout(60):
            async with aclosing(await self.backend.logs(target.identity, tail=5, follow=True)) as lines:
                async for line in lines:
                    if b"ready" in line:
                        return

    async def down(self, target: Target) -> Target:
        """Remove a runtime with its networks."""
        return await self.run(target, base.Step.REMOVE_CONTAINER, base.Step.REMOVE_NETWORKS)


def interface(lan: Lan, host: int, name: str = "lan0", **more: Any) -> dict[str, Any]:
    """The spec of a static interface on the LAN with this host number."""
    fixed = {"name": name, "parentInterface": lan.parent, "mode": "Static", "address": lan.address(host)}
    return {**fixed, "subnet": str(lan.subnet), "gateway": lan.gateway, **more}


@pytest.fixture
def install_id() -> str:
    """An installation id that no other test uses."""
    return secrets.token_hex(4)


class NewBackend(Protocol):
    """Creates a backend for an installation."""

    def __call__(self, install_id: str, kept: LeaseManager = ...) -> DockerBackend:
        """Create one."""


@pytest.fixture
async def leases(tmp_path: Path) -> AsyncIterator[LeaseManager]:
    """The test's lease manager."""
    manager = LeaseManager(tmp_path / "leases")
    yield manager
    manager.close()


@pytest.fixture
async def guard() -> AsyncIterator[AddressGuard]:
    """The test's address guard."""
    made = AddressGuard()
    yield made
    made.close()


@pytest.fixture
def passthrough(tmp_path: Path) -> InterfacePassthrough:
    """The test's interface passthrough."""
    return InterfacePassthrough(tmp_path / "passthrough")


@pytest.fixture
def devices() -> list[SerialDevice]:
    """The serial devices that the backend sees; filled by the test."""
    return []


@pytest.fixture
def host(
    leases: LeaseManager, guard: AddressGuard, passthrough: InterfacePassthrough, devices: list[SerialDevice]
) -> HostServices:
    """The host services of the backend."""
    return HostServices(leases, guard, passthrough, lambda: tuple(devices))


@pytest.fixture
async def new_backend(
    engine: dockerd.Engine,
    leases: LeaseManager,
    guard: AddressGuard,
    passthrough: InterfacePassthrough,
    devices: list[SerialDevice],
) -> AsyncIterator[NewBackend]:
    """Creates backends on the session's engine, and purges their objects afterwards."""
    made: list[DockerBackend] = []

    def make(install_id: str, kept: LeaseManager = leases) -> DockerBackend:
        host = HostServices(kept, guard, passthrough, lambda: tuple(devices))
        backend = DockerBackend(
            engine.url, install_id, INTERNAL_POOL, host, settle_seconds=1.0, dedicate_addressed=True
        )
        made.append(backend)
        return backend

    yield make
    for backend in made:
        await backend.purge(volumes=True)
        backend.close()


@pytest.fixture
async def pods_harness(cluster: nodes.Cluster, install_id: str) -> AsyncIterator[BackendHarness]:
    """A pods backend on the session's cluster, whose objects are purged afterwards."""
    api = ApiClient(await endpoint.from_kubeconfig(cluster.kubeconfig))
    backend = PodsBackend(api, install_id, "default", settle_seconds=3.0)

    async def own(target: Target) -> str:
        spec = {**target.spec.wire(), "paused": True}
        metadata = {"name": target.name, "namespace": target.identity.namespace}
        for volume in target.spec.volumes:
            cluster.provide_volume(target.identity.namespace, naming.claim(target.identity, volume.name))
        made = await api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": spec})
        return str(made["metadata"]["uid"])

    yield BackendHarness(backend, install_id, image.REPOSITORY, own=own)
    await backend.purge(volumes=True)
    for found in await api.list(kinds.RUNTIMES, "edge"):
        if found["metadata"]["name"].endswith(install_id):
            await api.delete(kinds.RUNTIMES, found["metadata"]["name"], "edge")
    await api.close()


@pytest.fixture
def harness(docker_harness: BackendHarness) -> BackendHarness:
    """The Docker backend by default; some modules override it."""
    return docker_harness


@pytest.fixture
def docker_harness(new_backend: NewBackend, install_id: str, runtime_image: str) -> BackendHarness:
    """A Docker backend on the session's engine, which has the runtime image."""
    return BackendHarness(new_backend(install_id), install_id, runtime_image)


@pytest.fixture
def api(docker_client: docker.DockerClient) -> Any:
    """The engine's API, to verify what the backend did and to interfere."""
    return docker_client.api


@pytest.fixture
def other_lan(docker_machine: None) -> Iterator[Lan]:
    """A second LAN."""
    with Lan() as made:
        yield made


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[StubEngine]:
    """A stub engine that a test can make hang or answer differently."""
    async with StubEngine(tmp_path / "s").serving() as stub:
        yield stub


async def reason_of(work: Any) -> str:
    """The reason of the errors.Waiting that it raises."""
    with pytest.raises(errors.Waiting) as waiting:
        await work
    return waiting.value.reason
