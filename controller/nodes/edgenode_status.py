"""Publishes the EdgeNode of this host: checked every few seconds, written when a condition changes.

Other changes are written within a minute, and figures that always change, such as usage, every ten minutes: a healthy
host writes this all day, on an SD card.

Figures that change quickly go to the cloud and to /metrics; this is what ``kubectl get edgenodes`` shows. Writes
nothing but the EdgeNode's status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller import errors, names
from controller.api import edgenodes, kinds, reasons
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.devices.serial_device import SerialDevice
from controller.machinery import conditions
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.model import Model
from controller.machinery.timestamps import rfc3339
from controller.metrics.host import MIB, HostReading
from controller.network.interfaces import HostInterface
from controller.nodes.kubernetes_node import KubernetesNode
from controller.nodes.node_records import NodeRecords, Use

CHECK_SECONDS = 10.0
WRITE_SECONDS = 60.0
# Twice the kubelet's nodeStatusReportFrequency: a write of 4 kB costs the disk ten times as much, with SQLite's side
# files, the later compaction and the backups.
HEARTBEAT_SECONDS = 600.0
FIGURES = ("cpu_percent", "memory_used_mib", "disk_used_mib", "uptime_seconds", "last_heartbeat_time", "conditions")
# The limits of the schema (api/edgenodes.py): a longer list would make the whole status invalid.
INTERFACES_SHOWN = 64
ADDRESSES_SHOWN, USERS_SHOWN = 16, 64


class Cloud(NamedTuple):
    """The state of the cloud link: the condition's status, reason and message, and the facts behind them."""

    status: conditions.ConditionStatus
    reason: str
    message: str
    agent_id: str | None = None
    link: edgenodes.CloudLink = edgenodes.CloudLink()


@dataclass(frozen=True)
class Sources:
    """Where the facts come from. ``engine`` raises errors.Waiting while the engine does not answer.

    ``disks`` returns the fault of each disk, "" while there is room. ``api`` is where this node answers the leader of
    a cluster.
    """

    host: Callable[[], HostReading]
    interfaces: Callable[[], Awaitable[Sequence[HostInterface]]]
    devices: Callable[[], Awaitable[Sequence[SerialDevice]]]
    engine: Callable[[], Awaitable[Any]]
    api: edgenodes.NodeApi | None = None
    cloud: Callable[[], Cloud] | None = None  # None: another process has the link
    disks: Callable[[], Mapping[str, str]] = dict


class EdgeNodePublisher:
    """Maintains the EdgeNode ``name``, and a Node beside it where there is no kubelet.

    ``runtimes`` counts this node's Runtimes by condition type and status, as of the last check. ``returned`` is awaited
    after the node's conditions said that it is away and were overwritten. Runtimes outside of the ``served`` namespaces
    are not shown.
    """

    def __init__(
        self,
        api: ApiClient,
        name: str,
        version: str,
        sources: Sources,
        clock: Callable[[], float] = time.time,
        node: KubernetesNode | None = None,
        returned: Callable[[], Awaitable[None]] | None = None,
        served: ServedNamespaces = EVERYWHERE,
    ) -> None:
        self._api = api
        self._name = name
        self._version = version
        self._sources = sources
        self._clock = clock
        self._node = node
        self._returned = returned
        self._records = NodeRecords(api, name, served)
        self._backends: tuple[str, ...] = ()
        # On the monotonic clock of the loop.
        self._compared = self._written = float("-inf")
        self._last: tuple[dict[str, Any], Cloud | None] | None = None  # what was written, without the figures
        self.runtimes: Mapping[tuple[str, str], int] = {}
        self.controller = Controller("write the EdgeNode", self.sync, period=CHECK_SECONDS)

    async def sync(self) -> None:
        """Check once, and write what has to be written. Raises errors.ApiError."""
        # The current conditions, whose transition times are kept.
        previous, uses, self.runtimes = await self._records.read()
        now = asyncio.get_running_loop().time()
        cloud = self._sources.cloud() if self._sources.cloud else None
        current_conditions = [await self._ready(), self._disk(), *([] if cloud is None else [self._connected(cloud)])]
        others = [c for c in previous if c.type not in {own.type for own in current_conditions}]  # the leader's
        current = (*conditions.merge(previous, current_conditions), *others)
        changed = _comparable(previous) != _comparable(current)
        if changed or now - self._compared >= WRITE_SECONDS:
            due = changed or now - self._written >= HEARTBEAT_SECONDS
            if await self._write(current, cloud, uses, due=due):
                self._written = now
            self._compared = now
        # The conditions as they were before: the write above has replaced the leader's.
        if self._returned is not None and any(c.reason == reasons.NODE_AWAY for c in previous):
            await self._returned()

    async def _ready(self) -> conditions.Condition:
        try:
            await self._sources.engine()
        except errors.ReconcileError as error:
            return self._condition(names.READY, "False", error.reason, str(error))
        self._backends = ("Docker",)  # never removed: an engine that stops is expected back
        return self._condition(names.READY, "True", reasons.NODE_READY, "Docker answers")

    def _disk(self) -> conditions.Condition:
        faults = self._sources.disks()
        if full := "; ".join(fault for fault in faults.values() if fault):
            return self._condition(names.DISK_FULL, "True", reasons.DISK_FULL, full)
        message = f"There is room on every disk: {', '.join(faults)}"
        return self._condition(names.DISK_FULL, "False", reasons.DISK_HAS_ROOM, message)

    def _connected(self, cloud: Cloud) -> conditions.Condition:
        return self._condition(names.CLOUD_CONNECTED, cloud.status, cloud.reason, cloud.message)

    def _condition(
        self, kind: str, status: conditions.ConditionStatus, reason: str, message: str
    ) -> conditions.Condition:
        return conditions.build(kind, status, reason, message, now=self._clock())

    async def _write(
        self,
        current: tuple[conditions.Condition, ...],
        cloud: Cloud | None,
        uses: Sequence[Use],
        *,
        due: bool,
    ) -> bool:
        """Write the status if that is ``due`` or more than figures changed; return whether it was written."""
        host, interfaces = self._sources.host(), (await self._sources.interfaces())[:INTERFACES_SHOWN]
        status = edgenodes.EdgeNodeStatus(
            agent_id=cloud and cloud.agent_id,
            last_heartbeat_time=rfc3339(self._clock()),
            conditions=current,
            **_figures(host),
            **await self._facts(interfaces, uses),
        )
        lasting = (status.model_dump(exclude=set(FIGURES)), cloud)
        if not due and lasting == self._last:
            return False
        await self._api.patch(
            kinds.EDGE_NODES, self._name, "", {"status": _as_patch(status, cloud)}, subresource="status"
        )
        if self._node is not None:
            ready = next(condition for condition in current if condition.type == names.READY)
            await self._node.write(ready, rfc3339(self._clock()), host, interfaces)
        self._last = lasting
        return True

    async def _facts(self, interfaces: Sequence[HostInterface], uses: Sequence[Use]) -> dict[str, Any]:
        """The part of the status that seldom changes, beside the conditions."""
        return {
            "version": self._version,
            "interfaces": tuple(_shown(interface, uses) for interface in interfaces),
            "serial_devices": tuple(_device(found) for found in await self._sources.devices()),
            "runtimes": edgenodes.RuntimeCounts(total=len(uses), ready=self.runtimes.get((names.READY, "True"), 0)),
            "backends": self._backends,
            "api": self._sources.api,
        }


def _figures(host: HostReading) -> dict[str, Any]:
    return {
        "cpu_percent": round(host.cpu_percent),
        "memory_used_mib": host.memory_used // MIB,
        "memory_total_mib": host.memory_total // MIB,
        "disk_used_mib": host.disk_used // MIB,
        "disk_total_mib": host.disk_total // MIB,
        "uptime_seconds": host.uptime,
    }


def _comparable(found: tuple[conditions.Condition, ...]) -> set[tuple[str, str, str, str]]:
    """What a person reads, without times: a new reason or message is written at once, just like a new status."""
    return {(c.type, c.status, c.reason, c.message) for c in found}


def _shown(interface: HostInterface, uses: Sequence[Use]) -> edgenodes.HostInterface:
    """The interface with its users: links of the host, and this node's runtimes."""
    name = interface.name
    users = [use.device_id for use in uses if name in use.parents]
    alone = next((use.device_id for use in uses if use.dedicated == name), "")
    return edgenodes.HostInterface(
        name=interface.name,
        address=interface.ip_address,
        mac_address=interface.mac_address,
        subnet=interface.subnet,
        gateway=interface.gateway,
        addresses=interface.ipv4_addresses[:ADDRESSES_SHOWN],
        kind=interface.kind,
        up=interface.is_up,
        carrier=interface.carrier,
        speed_mbps=interface.speed,
        used_by=(*interface.used_by, *users)[:USERS_SHOWN],
        dedicated_to=alone,
    )


def _device(found: SerialDevice) -> edgenodes.SerialDevice:
    shown = {name: getattr(found, name)[:128] for name in edgenodes.SerialDevice.model_fields}
    return edgenodes.SerialDevice(**shown)


def _as_patch(status: edgenodes.EdgeNodeStatus, cloud: Cloud | None) -> dict[str, Any]:
    """The status as a merge patch that also clears absent fields.

    Without ``cloud``, the leader writes the fields of the cloud link, so they are left out.
    """
    whole = {**_all_null(edgenodes.EdgeNodeStatus), **status.wire()}
    if cloud is None:
        return {name: value for name, value in whole.items() if name not in ("agentId", "cloud")}
    return {**whole, "cloud": {**_all_null(edgenodes.CloudLink), **cloud.link.wire()}}


def _all_null(model: type[Model]) -> dict[str, None]:
    return {field.alias or name: None for name, field in model.model_fields.items()}
