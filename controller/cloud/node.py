"""What the cloud's commands ask of nodes: which runs a device, its figures, its hardware, one HTTP request.

On one host it is answered in the same process, in a cluster by the node's own controller. Nothing here changes a
resource; wishes go through the Kubernetes API alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from controller.cloud.contracts.periods import Period
from controller.devices.serial import SerialDevice
from controller.metrics.host import HostReading
from controller.network.interfaces import HostInterface


class Point(NamedTuple):
    """One point of a curve: Unix seconds, and percent or MB of 2^20 bytes."""

    timestamp: int
    value: float


class Usage(NamedTuple):
    """CPU in percent and memory in MB over the periods asked for, oldest first."""

    cpu: list[Point]
    memory: list[Point]


class HostFacts(NamedTuple):
    """What the host is: sizes in bytes, ``addresses`` as (interface, IPv4 address)."""

    os: str
    kernel: str
    cpu_count: int
    memory_total: int
    disk_total: int
    addresses: list[tuple[str, str]]


class File(NamedTuple):
    """One file of a multipart form."""

    filename: str
    content: bytes
    content_type: str


@dataclass(frozen=True)
class HttpRequest:
    """One request to a runtime; ``address`` is its own internal address, ``path`` may carry a query.

    What may be secret is not shown, here and below.
    """

    address: str
    port: int
    scheme: str
    method: str
    path: str = field(repr=False)
    params: dict[str, list[str]] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    data: Any = field(default=None, repr=False)
    files: dict[str, File] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class HttpResponse:
    """The runtime's answer: JSON as a value, text as text, else base64 (``encoding``); ``truncated`` when cut."""

    status_code: int
    headers: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)
    content_type: str
    encoding: str = ""
    truncated: bool = False


class Reading(NamedTuple):
    """What a host uses now, and how many logical cores it has."""

    host: HostReading
    cpu_count: int


class Placement(NamedTuple):
    """Where a new Runtime goes: ``spec.nodeName`` and ``spec.backend``."""

    node_name: str
    backend: str


class Node(Protocol):
    """A node, as far as the cloud's commands need it; one elsewhere raises errors.CommandError without an answer."""

    async def reading(self) -> Reading:
        """What the host uses now."""

    async def host_facts(self) -> HostFacts:
        """What the host is."""

    async def host_usage(self, cpu: Period, memory: Period) -> Usage:
        """What the host used; CPU in percent of the whole host."""

    async def device_usage(self, namespace: str, device_id: str, cpu: Period, memory: Period) -> Usage:
        """What a runtime used; CPU in percent of one core, so that two busy cores are 200."""

    async def interfaces(self, *, include_virtual: bool) -> Sequence[HostInterface]:
        """The host's interfaces: physical, VLAN and Wi-Fi, with ``include_virtual`` also the others."""

    async def serial_devices(self) -> Sequence[SerialDevice]:
        """The host's serial devices."""

    async def request(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """Send one request, once. Raises errors.CommandError when there is no answer within ``seconds``."""

    async def foreign_container(self, name: str) -> str:
        """What container of this name is not ours, for a person, or "". Raises errors.ReconcileError."""


class NodeDirectory(Protocol):
    """The nodes of this agent: one on a host of its own, any number in a cluster."""

    async def running(self, runtime: Mapping[str, Any]) -> Node:
        """The node of a Runtime. Raises errors.CommandError when it has none, or when that node is away."""

    async def present(self) -> Mapping[str, Node]:
        """Every node that is not away, by name."""

    async def place(self, spec: Mapping[str, Any]) -> Placement:
        """Where a Runtime of that spec goes. Raises errors.CommandError that says which node has what."""
