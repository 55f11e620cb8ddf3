"""The EdgeNode: created when missing, written when something changes, its figures every ten minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.devices.serial_device import SerialDevice
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.metrics.host import HostReading
from controller.network.interfaces import HostInterface
from controller.nodes import edgenode_status as node_status
from controller.nodes import kubernetes_node
from controller.nodes.edgenode_status import Cloud, EdgeNodePublisher, Sources
from controller.nodes.kubernetes_node import KubernetesNode
from tests.support.embedded_api import EmbeddedApi

NAME = "node-1"


@pytest.fixture
async def api(embedded_api: EmbeddedApi) -> AsyncIterator[ApiClient]:
    """The controller's client."""
    api = embedded_api.client()
    yield api
    await api.close()
    await embedded_api.clear()


@pytest.fixture(autouse=True)
async def person(embedded_api: EmbeddedApi) -> AsyncIterator[ApiClient]:
    """A client with all permissions; removes what the test created."""
    person = embedded_api.client(user="admin")
    yield person
    for node in await person.list(kinds.EDGE_NODES):
        await person.delete(kinds.EDGE_NODES, node["metadata"]["name"])
    await person.close()


class Host:
    """A host whose state the test sets."""

    def __init__(self, api: ApiClient) -> None:
        self.now = 1_800_000_000.0
        self.engine_error: errors.ReconcileError | None = None
        self.checks = 0
        self.serial = "A5"
        self.on_check: Callable[[], None] = lambda: None
        self.disks = {"state": "", "docker": ""}
        self.cloud = Cloud("True", reasons.CONNECTED, "Connected to the cloud", "07048933")
        self.status = self.start(api)

    def start(self, api: ApiClient, node: KubernetesNode | None = None) -> EdgeNodePublisher:
        """The publisher of a controller that has just started."""
        sources = Sources(
            host=lambda: HostReading(12.4, 1 << 30, 4 << 30, 10 << 30, 100 << 30, 3600),
            interfaces=self._interfaces,
            devices=self._devices,
            engine=self._engine,
            cloud=lambda: self.cloud,
            disks=lambda: self.disks,
        )
        return EdgeNodePublisher(api, NAME, "1.2.3", sources, lambda: self.now, node)

    async def _devices(self) -> Sequence[SerialDevice]:
        return [SerialDevice("usb-FTDI", "/dev/ttyUSB0", 188 << 8, 0o660, 0, 20, serial=self.serial)]

    async def _interfaces(self) -> Sequence[HostInterface]:
        return [HostInterface("eth0", "physical", True, "52:54:00:00:00:01", ("10.0.0.2",), "10.0.0.0/24", "10.0.0.1")]

    async def _engine(self) -> None:
        self.on_check()
        self.checks += 1
        if self.engine_error:
            raise self.engine_error


@pytest.fixture
def host(api: ApiClient) -> Host:
    """A healthy host."""
    return Host(api)


async def shown(api: ApiClient) -> dict[str, Any]:
    """The EdgeNode's status, its conditions by type."""
    found: dict[str, Any] = (await api.get(kinds.EDGE_NODES, NAME))["status"]
    return {**found, "conditions": {c["type"]: c for c in found["conditions"]}}


async def version(api: ApiClient) -> str:
    """The resourceVersion, which changes with every write."""
    found: str = (await api.get(kinds.EDGE_NODES, NAME))["metadata"]["resourceVersion"]
    return found


async def test_the_first_sync_creates_the_whole_edge_node(api: ApiClient, host: Host) -> None:
    await host.status.sync()
    status = await shown(api)
    assert (status["agentId"], status["version"], status["cpuPercent"]) == ("07048933", "1.2.3", 12)
    assert (status["memoryUsedMiB"], status["diskTotalMiB"], status["uptimeSeconds"]) == (1024, 102400, 3600)
    assert status["interfaces"][0]["address"] == "10.0.0.2"
    assert {kind: c["status"] for kind, c in status["conditions"].items()} == {
        "Ready": "True",
        "DiskFull": "False",
        "CloudConnected": "True",
    }


async def test_without_a_change_nothing_is_written(api: ApiClient, host: Host) -> None:
    await host.status.sync()
    before = await version(api)
    host.now += 30
    await host.status.sync()
    assert await version(api) == before


async def test_figures_alone_are_written_every_ten_minutes(
    api: ApiClient, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.status.sync()
    before = await version(api)
    monkeypatch.setattr(node_status, "WRITE_SECONDS", 0)
    host.now += 60
    await host.status.sync()
    assert await version(api) == before
    monkeypatch.setattr(node_status, "HEARTBEAT_SECONDS", 0)
    await host.status.sync()
    assert await version(api) != before
    assert (await shown(api))["lastHeartbeatTime"] == "2027-01-15T08:01:00Z"


async def test_other_changes_are_written_after_a_minute(
    api: ApiClient, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.status.sync()
    host.serial = "A6"
    await host.status.sync()
    assert (await shown(api))["serialDevices"][0]["serial"] == "A5"
    monkeypatch.setattr(node_status, "WRITE_SECONDS", 0)
    await host.status.sync()
    assert (await shown(api))["serialDevices"][0]["serial"] == "A6"


async def test_a_changed_status_is_written_at_once_with_its_time(api: ApiClient, host: Host) -> None:
    await host.status.sync()
    host.now += 7
    host.engine_error = errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer: start it")
    await host.status.sync()
    conditions = (await shown(api))["conditions"]
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("False", "DockerUnreachable")
    assert conditions["Ready"]["lastTransitionTime"] == "2027-01-15T08:00:07Z"
    assert conditions["CloudConnected"]["lastTransitionTime"] == "2027-01-15T08:00:00Z"


async def test_a_changed_message_is_written_at_once(api: ApiClient, host: Host) -> None:
    host.cloud = Cloud("False", reasons.DISCONNECTED, "the name is unknown")
    await host.status.sync()
    host.cloud = Cloud("False", reasons.DISCONNECTED, "the certificate ended")
    await host.status.sync()
    assert (await shown(api))["conditions"]["CloudConnected"]["message"] == "the certificate ended"


async def test_an_absent_field_is_cleared(api: ApiClient, host: Host) -> None:
    await host.status.sync()
    host.cloud = Cloud("False", reasons.NO_CLOUD, "EDGE_CLOUD_URL is empty")
    await host.status.sync()
    assert "agentId" not in await shown(api)


async def test_a_restart_keeps_the_transition_times(api: ApiClient, host: Host) -> None:
    await host.status.sync()
    host.now += 1000
    await host.start(api).sync()
    assert (await shown(api))["conditions"]["Ready"]["lastTransitionTime"] == "2027-01-15T08:00:00Z"


async def test_only_this_nodes_runtimes_are_counted(api: ApiClient, host: Host) -> None:
    for name, node in (("a", NAME), ("b", NAME), ("c", "another")):
        spec = {"deviceId": f"plc-{name}", "image": "registry.test/runtime", "nodeName": node, "backend": "Docker"}
        await api.create(kinds.RUNTIMES, {"metadata": {"name": name, "namespace": "edge"}, "spec": spec})
    ready = {"type": "Ready", "status": "True", "reason": "Running", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for name in ("a", "c"):
        await api.patch(kinds.RUNTIMES, name, "edge", {"status": {"conditions": [ready]}}, subresource="status")
    await host.status.sync()
    assert (await shown(api))["runtimes"] == {"total": 2, "ready": 1}
    assert host.status.runtimes == {("Ready", "True"): 1}


async def test_a_deleted_edge_node_is_created_again(api: ApiClient, person: ApiClient, host: Host) -> None:
    await host.status.sync()
    await person.delete(kinds.EDGE_NODES, NAME)
    await host.status.sync()
    assert (await shown(api))["conditions"]["CloudConnected"]["reason"] == "Connected"


async def test_the_node_beside_it_has_the_same_ready_condition(api: ApiClient, person: ApiClient, host: Host) -> None:
    host.status = host.start(api, KubernetesNode(api, NAME, "1.2.3"))
    await host.status.sync()
    node = await person.get(core_kinds.NODES, NAME)
    (ready,) = node["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["lastHeartbeatTime"]) == ("Ready", "True", "2027-01-15T08:00:00Z")
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "10.0.0.2"}
    assert node["status"]["capacity"]["memory"] == f"{4 << 20}Ki"
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    host.engine_error = errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")
    await host.status.sync()
    (ready,) = (await person.get(core_kinds.NODES, NAME))["status"]["conditions"]
    assert (ready["status"], ready["message"]) == ("False", "Docker does not answer")
    await person.delete(core_kinds.NODES, NAME)


async def test_a_new_heartbeat_alone_is_written_to_the_node_beside_it_once_an_hour(
    api: ApiClient, person: ApiClient, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_status, "WRITE_SECONDS", 0)
    monkeypatch.setattr(node_status, "HEARTBEAT_SECONDS", 0)
    host.status = host.start(api, KubernetesNode(api, NAME, "1.2.3"))
    await host.status.sync()
    before = await person.get(core_kinds.NODES, NAME)
    host.now += 600
    await host.status.sync()
    assert await person.get(core_kinds.NODES, NAME) == before
    monkeypatch.setattr(kubernetes_node, "HEARTBEAT_SECONDS", 0)
    await host.status.sync()
    (ready,) = (await person.get(core_kinds.NODES, NAME))["status"]["conditions"]
    assert ready["lastHeartbeatTime"] == "2027-01-15T08:10:00Z"
    await person.delete(core_kinds.NODES, NAME)


async def test_a_change_during_a_sync_causes_another_one(host: Host) -> None:
    syncs = asyncio.Semaphore(0)

    def check_engine() -> None:
        if not host.checks:
            host.status.controller.trigger()
        syncs.release()

    host.on_check = check_engine
    running = asyncio.create_task(host.status.controller.run())
    async with asyncio.timeout(5):  # less than the period
        await syncs.acquire()
        await syncs.acquire()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_disk_is_a_condition_until_there_is_room(api: ApiClient, host: Host) -> None:
    host.disks["state"] = "the disk of /var/lib/edge-controller is full: free space"
    await host.status.sync()
    full = (await shown(api))["conditions"]["DiskFull"]
    assert (full["status"], full["reason"], full["message"]) == ("True", "DiskFull", host.disks["state"])
    host.disks["state"] = ""
    await host.status.sync()
    full = (await shown(api))["conditions"]["DiskFull"]
    assert (full["reason"], full["message"]) == ("DiskHasRoom", "There is room on every disk: state, docker")


async def test_the_condition_names_every_full_disk(api: ApiClient, host: Host) -> None:
    host.disks["docker"] = "the disk of Docker (/data) is full: free space"
    await host.status.sync()
    assert (await shown(api))["conditions"]["DiskFull"]["message"] == host.disks["docker"]
    host.disks["state"] = "the disk of /var is full: free space"
    await host.status.sync()
    both = f"{host.disks['state']}; {host.disks['docker']}"
    assert (await shown(api))["conditions"]["DiskFull"]["message"] == both
