"""The cloud's commands on a given API, built from the product's own objects except for a fake node.

``Operator`` replaces the reconciler: it writes a status that follows the spec. ``FakeNode`` has canned figures.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller import errors, names
from controller.api import kinds
from controller.api.served_namespaces import EVERYWHERE
from controller.cloud import topics
from controller.cloud.commands.command import DigestKey
from controller.cloud.commands.devices import Devices
from controller.cloud.commands.executor import Executor
from controller.cloud.commands.forwarding import Reads
from controller.cloud.commands.journal import Journal
from controller.cloud.commands.retirement import Retirement, RetirementHooks
from controller.cloud.commands.specs import Blueprint
from controller.cloud.contracts.base import Mode
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.packets import Incoming
from controller.devices.serial_device import SerialDevice
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.metrics.host import HostReading
from controller.network.interfaces import HostInterface
from controller.node_api.node import HostFacts, HttpRequest, HttpResponse, Point, Reading, Usage
from controller.node_api.periods import Period
from controller.nodes.single_node import SingleNode

NAMESPACE = "edge"
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
BLUEPRINT = Blueprint(
    namespace=NAMESPACE,
    image="registry.test/runtime",
    version="latest",
    template={"realtime": {"enabled": True}},
)
NODE_NAME = "test-node"
SECRET = b"a private key"
READS = ("/api/status", "/api/ping")


class FakeNode:
    """Answers with configured values and records the forwarded requests."""

    def __init__(self) -> None:
        self.foreign_containers: dict[str, str] = {}
        self.requests: list[HttpRequest] = []
        self.response: HttpResponse | errors.EdgeError = HttpResponse(200, {}, {"ok": True}, "application/json")
        self.hold: asyncio.Event | None = None  # if set, requests wait for it
        self.in_flight = 0
        self.peak_in_flight = 0

    async def reading(self) -> Reading:
        return Reading(HostReading(10.0, 1 << 30, 8 << 30, 2 << 30, 64 << 30, 3600), 4)

    async def host_facts(self) -> HostFacts:
        return HostFacts("Debian GNU/Linux 12", "6.1.0", 4, 8 << 30, 64 << 30, [("eth0", "192.168.1.2")])

    async def host_usage(self, cpu: Period, memory: Period) -> Usage:
        return Usage([Point(1_767_225_595, 12.345)], [Point(1_767_225_595, 2048.04)])

    async def device_usage(self, namespace: str, device_id: str, cpu: Period, memory: Period) -> Usage:
        return Usage([Point(1_767_225_595, 150.0)], [])

    async def interfaces(self, *, include_virtual: bool) -> Sequence[HostInterface]:
        physical = HostInterface(
            "eth0", "physical", True, "52:54:00:00:00:01", ("192.168.1.2",), "192.168.1.0/24", "192.168.1.1"
        )
        return [physical, HostInterface("br0", "bridge", False)] if include_virtual else [physical]

    async def serial_devices(self) -> Sequence[SerialDevice]:
        node = SerialDevice("usb-FTDI_UART_A5-if00", "/dev/ttyUSB0", 188 << 8, 0o660, 0, 20)
        return [
            replace(node, vendor_id="0403", product_id="6001", serial="A5", manufacturer="FTDI", product="UART"),
        ]

    async def request(self, request: HttpRequest, seconds: float) -> HttpResponse:
        self.requests.append(request)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
        self.in_flight -= 1
        if isinstance(self.response, errors.EdgeError):
            raise self.response
        return self.response

    async def foreign_container(self, name: str) -> str:
        return self.foreign_containers.get(name, "")


class Operator:
    """Brings every changed Runtime to its desired state while it runs."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.starts: dict[str, int] = {}

    async def run(self) -> None:
        """Reconcile every changed Runtime until cancelled."""
        async for event in self._api.watch(kinds.RUNTIMES):
            if event.type in ("ADDED", "MODIFIED"):
                with contextlib.suppress(errors.NotFoundError):
                    await self.reconcile(event.object)

    async def reconcile(self, runtime: dict[str, Any]) -> None:
        """Write what a reconciliation would end in."""
        metadata, status = runtime["metadata"], runtime.get("status") or {}
        if metadata.get("deletionTimestamp"):
            await self._api.patch(
                kinds.RUNTIMES, metadata["name"], metadata["namespace"], {"metadata": {"finalizers": None}}
            )
        elif status.get("observedGeneration") != metadata["generation"]:
            await self._write(metadata, self._status(runtime))

    def _status(self, runtime: dict[str, Any]) -> dict[str, Any]:
        generation, name = runtime["metadata"]["generation"], runtime["metadata"]["name"]
        running = runtime["spec"].get("desiredState", "Running") == "Running"
        self.starts[name] = self.starts.get(name, 0) + running
        return {
            "observedGeneration": generation,
            "state": "Running" if running else "Stopped",
            "internalIP": "10.213.0.2",
            "startedAt": "2025-12-31T23:59:00Z",
            "conditions": [condition(names.READY, "True", generation)],
        }

    async def _write(self, metadata: dict[str, Any], status: dict[str, Any]) -> None:
        await self._api.patch(
            kinds.RUNTIMES, metadata["name"], metadata["namespace"], {"status": status}, subresource="status"
        )


class CommandHarness:
    """The dispatcher and its parts as in one process; a second harness on the same API simulates a restart."""

    def __init__(
        self, api: Any, *, mode: Mode = "strict", seconds: float = 30, linger_seconds: float = 0, secret: bytes = SECRET
    ) -> None:
        self.api = api
        self.node = FakeNode()
        self.retired = asyncio.Event()
        self.others_remain: bool | None = None
        self.changed: list[dict[str, Any]] = []  # what the nodes of this process heard of
        self.journal = Journal(api, NAMESPACE, lambda: DigestKey(secret), lambda: NOW, changed=self.changed.append)
        self.executor = Executor(self.journal, seconds)
        hooks = RetirementHooks(self._retire, self._leave, linger_seconds)
        self.retirement = Retirement(api, self.journal, hooks, lambda: NOW)
        self.left = asyncio.Event()
        self.observed: list[tuple[str, str]] = []  # topic and outcome of each answer, as for the metrics
        nodes = SingleNode(NODE_NAME, self.node, "Docker")
        devices, reads = Devices(api, NAMESPACE, EVERYWHERE), Reads(READS)
        commands = topics.Commands.build(api, devices, nodes, self.retirement, BLUEPRINT, reads, seconds, lambda: NOW)
        self.topics = topics.table(commands)
        self.dispatcher = Dispatcher(self.topics, self.executor, mode, self._observe)
        self._correlation = 0

    async def dispatch(self, event: str, arguments: list[Any]) -> dict[str, Any]:
        """The answer to an event."""
        return await self.dispatcher.answer(Incoming(event, arguments, wants_acknowledgement=True))

    async def send(self, topic: str, **fields: Any) -> dict[str, Any]:
        """Send a complete message with a new correlation id."""
        return await self.dispatch(topic, [self.message(topic, **fields)])

    def message(self, topic: str, **fields: Any) -> dict[str, Any]:
        """A complete message with a new correlation id."""
        self._correlation += 1
        base = {"correlation_id": self._correlation, "action": topic, "requested_at": "2026-01-01T00:00:00.123Z"}
        return {**base, **fields}

    async def runtime(self, name: str) -> dict[str, Any]:
        """The Runtime of that name."""
        found: dict[str, Any] = await self.api.get(kinds.RUNTIMES, name, NAMESPACE)
        return found

    async def api_has(self, verb: str, times: int, kind: core_kinds.Kind = kinds.RUNTIMES) -> None:
        """Wait until the API has received a verb ``times`` times."""
        await self.api.until(lambda: self.api.requests.count((verb, kind.plural)) >= times)

    async def close(self) -> None:
        """Stop as a terminating process does."""
        await self.retirement.stop()
        await self.executor.stop()

    def _observe(self, topic: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((topic, outcome))

    async def _retire(self) -> None:
        self.retired.set()

    async def _leave(self, others_remain: bool) -> None:
        self.others_remain = others_remain
        self.left.set()


def vnic(**fields: Any) -> dict[str, Any]:
    """An entry of vnic_configs."""
    base = {"name": "lan0", "parent_interface": "eth0", "network_mode": "static"}
    return {**base, "ip": "192.168.1.50", "subnet": "192.168.1.0/24", **fields}


def condition(kind: str, status: str, generation: int, message: str = "") -> dict[str, Any]:
    """A condition for a status."""
    return {
        "type": kind,
        "status": status,
        "reason": "Test",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }
