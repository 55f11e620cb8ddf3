"""``EdgeNode``: one host as the controller on it sees it; its status is the last heartbeat and the cloud link.

Written at most once a minute or when a condition flips: fast figures go to the cloud and to /metrics.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.api.fields import ShortText, Text
from controller.api.runtime_status import ATOMIC_LIST, CONDITION_LIST, NAMED_LIST
from controller.machinery import metadata
from controller.machinery.conditions import Condition
from controller.machinery.model import Model, Timestamp


class HostInterface(Model):
    """One network interface of the host."""

    name: Annotated[str, Field(max_length=32)]
    address: ShortText = ""
    mac_address: ShortText = ""
    subnet: ShortText = ""
    gateway: ShortText = ""
    addresses: tuple[ShortText, ...] = Field(default=(), max_length=16, json_schema_extra=ATOMIC_LIST)
    kind: ShortText = Field(default="", description="physical, vlan, wifi, bond, bridge or virtual.")
    up: bool = False
    carrier: bool = Field(default=False, description="Whether something is at the other end of the cable.")
    speed_mbps: int | None = Field(default=None, description="Mbit/s, where the driver tells it.")
    used_by: tuple[ShortText, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=ATOMIC_LIST,
        description="Links of the host that stand on it, and device ids of the runtimes on its LAN.",
    )
    dedicated_to: ShortText = Field(default="", description="Device id of the runtime that has it to itself.")


class SerialDevice(Model):
    """One serial device of the host; a Runtime asks for it by ``deviceId``."""

    device_id: Annotated[str, Field(max_length=255)]
    path: Text
    by_path: Text = ""
    vendor_id: ShortText = ""
    product_id: ShortText = ""
    serial: ShortText = ""
    manufacturer: ShortText = ""
    product: ShortText = ""


class CloudLink(Model):
    """How the link to the cloud stands."""

    url: Text = ""
    connected_since: Timestamp | None = None
    last_error: Text = ""
    certificate_not_after: Timestamp | None = None


class NodeApi(Model):
    """Where the node's controller answers the leader, and by which certificate it is known (PEM)."""

    url: Text = ""
    certificate: Annotated[str, Field(max_length=4096)] = ""


class RuntimeCounts(Model):
    """How many Runtimes this node has, and how many of them are ready."""

    total: int = 0
    ready: int = 0


class EdgeNodeSpec(Model):
    """Nothing can be wished of a node yet."""


class EdgeNodeStatus(Model):
    """The observed state of one host. Quantities are MiB, GiB with one decimal are the heartbeat's."""

    agent_id: ShortText | None = None
    version: ShortText | None = None
    cpu_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    memory_used_mib: int | None = Field(default=None, alias="memoryUsedMiB")
    memory_total_mib: int | None = Field(default=None, alias="memoryTotalMiB")
    disk_used_mib: int | None = Field(default=None, alias="diskUsedMiB")
    disk_total_mib: int | None = Field(default=None, alias="diskTotalMiB")
    uptime_seconds: int | None = None
    last_heartbeat_time: Timestamp | None = None
    backends: Annotated[tuple[ShortText, ...], Field(max_length=4, json_schema_extra=ATOMIC_LIST)] = Field(
        default=(), description="Backends that this node has shown to have, such as Docker."
    )
    api: NodeApi | None = None
    interfaces: tuple[HostInterface, ...] = Field(default=(), max_length=64, json_schema_extra=NAMED_LIST)
    serial_devices: tuple[SerialDevice, ...] = Field(default=(), max_length=64, json_schema_extra=ATOMIC_LIST)
    runtimes: RuntimeCounts = RuntimeCounts()
    cloud: CloudLink = CloudLink()
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=CONDITION_LIST)


class EdgeNode(Model):
    """The whole object as the API stores it."""

    metadata: metadata.ObjectMeta
    spec: EdgeNodeSpec = EdgeNodeSpec()
    status: EdgeNodeStatus = EdgeNodeStatus()
