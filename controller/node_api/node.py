"""Interfaces through which the cloud's commands query nodes: placement, usage, hardware, HTTP requests to runtimes.

A single host implements them in the same process, a cluster through each node's own controller (see queries.py).
Nothing here changes a resource: desired state is written to the Kubernetes API only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field

from controller.devices.serial_device import SerialDevice
from controller.metrics.host import HostReading, Size
from controller.network.interfaces import HostInterface
from controller.node_api.periods import Period

Scheme = Literal["http", "https"]
Cores = Annotated[int, Field(ge=0, le=1 << 16)]


class Point(NamedTuple):
    """One point of a usage curve: Unix seconds, and percent or MB of 2^20 bytes."""

    timestamp: Size
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Usage(NamedTuple):
    """CPU in percent and memory in MB over the requested periods, oldest first."""

    cpu: list[Point]
    memory: list[Point]


class HostFacts(NamedTuple):
    """Static facts about a host: sizes in bytes, ``addresses`` as (interface, IPv4 address)."""

    os: str
    kernel: str
    cpu_count: Cores
    memory_total: Size
    disk_total: Size
    addresses: list[tuple[str, str]]


class File(NamedTuple):
    """One file of a multipart form."""

    filename: str
    content: bytes
    content_type: str


@dataclass(frozen=True)
class HttpRequest:
    """One request to a runtime; ``address`` is its internal address, ``path`` may include a query.

    ``repeatable``: it only reads, so it may be sent again, which lets it use a connection that was kept open.
    Scheme and port precede the path in the URL, so a node must not take them as they come from another process.
    Fields that may hold secrets are left out of the repr, here and below.
    """

    address: str
    port: Annotated[int, Field(ge=1, le=65535)]
    scheme: Scheme
    method: str
    path: str = field(repr=False)
    params: dict[str, list[str]] = field(default_factory=dict, repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    data: Any = field(default=None, repr=False)
    files: dict[str, File] = field(default_factory=dict, repr=False)
    # Not sent to another node: an older one refuses a field that it does not know.
    repeatable: Annotated[bool, Field(exclude=True)] = False


@dataclass(frozen=True)
class HttpResponse:
    """The runtime's answer: JSON as a value, text as a string, else base64 (see ``encoding``)."""

    status_code: Annotated[int, Field(ge=100, le=999)]
    headers: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)
    content_type: str
    encoding: str = ""
    truncated: bool = False


class Reading(NamedTuple):
    """Current usage of a host, and its number of logical cores."""

    host: HostReading
    cpu_count: Cores


class Placement(NamedTuple):
    """Where to create a new Runtime: ``spec.nodeName`` and ``spec.backend``."""

    node_name: str
    backend: str


class Node(Protocol):
    """A node as the cloud's commands see it. Every method of a remote node raises errors.CommandError on no answer.

    A new method needs an implementation in LocalNode only. Its annotations must be types that pydantic can read from
    JSON, and ``seconds`` is the name of a parameter that limits how long the node may take.
    """

    async def reading(self) -> Reading:
        """Current usage of the host."""

    async def host_facts(self) -> HostFacts:
        """Facts about the host."""

    async def host_usage(self, cpu: Period, memory: Period) -> Usage:
        """Past usage of the host; CPU in percent of the whole host."""

    async def device_usage(self, namespace: str, device_id: str, cpu: Period, memory: Period) -> Usage:
        """Past usage of a runtime; CPU in percent of one core, so two busy cores are 200."""

    async def interfaces(self, *, include_virtual: bool) -> Sequence[HostInterface]:
        """The host's physical, VLAN and Wi-Fi interfaces; all interfaces if ``include_virtual``."""

    async def serial_devices(self) -> Sequence[SerialDevice]:
        """The host's serial devices."""

    async def request(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """Send one request once, without retries. Raises errors.CommandError if no answer arrives in ``seconds``."""

    async def foreign_container(self, name: str) -> str:
        """Describe a foreign container with this name; "" if there is none. Raises errors.ReconcileError."""


class NodeDirectory(Protocol):
    """The nodes of this agent: one on a single host, any number in a cluster."""

    async def node_of(self, runtime: Mapping[str, Any]) -> Node:
        """The node of a Runtime. Raises errors.CommandError if it has none or that node is away."""

    async def available(self) -> Mapping[str, Node]:
        """All nodes that are not away, by name."""

    async def choose(self, spec: Mapping[str, Any]) -> Placement:
        """Choose the node for a Runtime with this spec. Raises errors.CommandError that lists what each node has."""
