"""``EdgeNode``: one host as its controller reports it, with the last heartbeat and the cloud link in its status.

Written at most once a minute and when a condition changes; fast-changing figures go to the cloud and to /metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from controller import names
from controller.api import reasons
from controller.api.fields import ShortText, Text
from controller.api.runtime_status import ATOMIC_LIST, CONDITION_LIST, NAMED_LIST
from controller.machinery import conditions, model
from controller.machinery.conditions import Condition
from controller.machinery.model import Model, Timestamp


class HostInterface(Model):
    """One network interface of the host."""

    name: Annotated[str, Field(max_length=32)] = Field(description="Name of the interface.")
    address: ShortText = Field(default="", description="First IPv4 address.")
    mac_address: ShortText = Field(default="", description="MAC address.")
    subnet: ShortText = Field(default="", description="Subnet of the first address in CIDR notation.")
    gateway: ShortText = Field(default="", description="Gateway of the default route with the lowest metric.")
    addresses: tuple[ShortText, ...] = Field(
        default=(), max_length=16, json_schema_extra=ATOMIC_LIST, description="All IPv4 addresses."
    )
    kind: ShortText = Field(default="", description="One of physical, vlan, wifi, bond, bridge, virtual.")
    up: bool = Field(default=False, description="Whether the interface is up.")
    carrier: bool = Field(default=False, description="Whether the interface has a link (carrier).")
    speed_mbps: int | None = Field(default=None, description="Link speed in Mbit/s, if the driver reports it.")
    used_by: tuple[ShortText, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=ATOMIC_LIST,
        description="Host links on top of the interface, and device ids of the runtimes on its LAN.",
    )
    dedicated_to: ShortText = Field(default="", description="Device id of the runtime that uses it exclusively.")


class SerialDevice(Model):
    """One serial device of the host, which a Runtime requests by its deviceId."""

    device_id: Annotated[str, Field(max_length=255)] = Field(
        description="Stable name for spec.serialPorts[].deviceId of a Runtime."
    )
    path: Text = Field(description="Current device node.")
    by_path: Text = Field(default="", description="Name by the physical port, as in /dev/serial/by-path.")
    vendor_id: ShortText = Field(default="", description="USB vendor id.")
    product_id: ShortText = Field(default="", description="USB product id.")
    serial: ShortText = Field(default="", description="Serial number.")
    manufacturer: ShortText = Field(default="", description="Manufacturer.")
    product: ShortText = Field(default="", description="Product name.")


class CloudLink(Model):
    """Link to the cloud."""

    url: Text = Field(default="", description="URL of the cloud.")
    connected_since: Timestamp | None = Field(
        default=None, description="Time of the connection; absent while disconnected."
    )
    last_error: Text = Field(default="", description="Why the last connection failed or ended.")
    certificate_not_after: Timestamp | None = Field(
        default=None, description="Time at which the client certificate expires."
    )


class NodeApi(Model):
    """Endpoint on which the node's controller serves the leader of a cluster."""

    url: Text = Field(default="", description="URL of the endpoint.")
    certificate: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Certificate that the endpoint presents, as PEM."
    )


class RuntimeCounts(Model):
    """Number of Runtimes on this node."""

    total: int = Field(default=0, description="All Runtimes.")
    ready: int = Field(default=0, description="Runtimes that are ready.")


class EdgeNodeSpec(Model):
    """Desired state of the host; it has no fields yet."""


class EdgeNodeStatus(Model):
    """Observed state of one host, at most a minute old."""

    agent_id: ShortText | None = Field(default=None, description="Agent id in the cloud: CN of the client certificate.")
    version: ShortText | None = Field(default=None, description="Version of the controller.")
    cpu_percent: Annotated[int, Field(ge=0, le=100)] | None = Field(default=None, description="CPU in use, in percent.")
    # The alias generator would write "Mib".
    memory_used_mib: int | None = Field(default=None, alias="memoryUsedMiB", description="Memory in use, in MiB.")
    memory_total_mib: int | None = Field(
        default=None, alias="memoryTotalMiB", description="Memory of the host, in MiB."
    )
    disk_used_mib: int | None = Field(
        default=None, alias="diskUsedMiB", description="Disk space in use on all file systems, in MiB."
    )
    disk_total_mib: int | None = Field(
        default=None, alias="diskTotalMiB", description="Disk space of all file systems, in MiB."
    )
    uptime_seconds: int | None = Field(default=None, description="Seconds since the host booted.")
    last_heartbeat_time: Timestamp | None = Field(default=None, description="Time of this status.")
    backends: Annotated[tuple[ShortText, ...], Field(max_length=4, json_schema_extra=ATOMIC_LIST)] = Field(
        default=(), description="Backends found on this node, such as Docker."
    )
    api: NodeApi | None = None
    interfaces: tuple[HostInterface, ...] = Field(
        default=(), max_length=64, json_schema_extra=NAMED_LIST, description="Network interfaces of the host."
    )
    serial_devices: tuple[SerialDevice, ...] = Field(
        default=(), max_length=64, json_schema_extra=ATOMIC_LIST, description="Serial devices of the host."
    )
    runtimes: RuntimeCounts = RuntimeCounts()
    cloud: CloudLink = CloudLink()
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, json_schema_extra=CONDITION_LIST, description="Conditions, such as Ready."
    )


class EdgeNode(Model):
    """One host that runs runtimes, as its controller reports it."""

    metadata: model.ObjectMeta
    spec: EdgeNodeSpec = EdgeNodeSpec()
    status: EdgeNodeStatus = EdgeNodeStatus()


def away_message(body: Mapping[str, Any]) -> str:
    """Return the message of NodeAway on this EdgeNode or Runtime, or "" if its node is reachable."""
    ready = conditions.of(body, names.READY)
    return str(ready.get("message", "")) if ready.get("reason") == reasons.NODE_AWAY else ""
