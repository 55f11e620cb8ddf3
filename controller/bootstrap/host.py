"""The role node as a whole: this host's runtimes kept as wished, its EdgeNode, and what both tell the outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from controller import __version__, names
from controller.bootstrap import member, node
from controller.bootstrap.node import NodePart
from controller.bootstrap.surroundings import Surroundings
from controller.bootstrap.uplink import Uplink
from controller.disk import Disk
from controller.metrics.prometheus import Metrics
from controller.metrics.prometheus import Sources as MetricsSources
from controller.metrics.server import Check
from controller.node.kubernetes_node import KubernetesNode
from controller.node.status import NodeStatus, Sources
from controller.reconcile.queue import Queue
from controller.resources.edgenodes import NodeApi

OPERATOR_SECONDS = 2.0
DISK_SECONDS = 5.0


@dataclass(frozen=True)
class HostPart:
    """What others need of it."""

    here: NodePart
    metrics: Metrics
    status: NodeStatus
    queue: Queue


async def start(around: Surroundings, here: NodePart, uplink: Uplink) -> HostPart:
    """Reconcile from now on, as far as keys come; kopf is not started yet."""
    site, api = around.site, around.api
    address = None if site.embedded else await member.start(site, around.endpoint, api, here.local)

    async def returned() -> None:
        await reconciling.resync.look()

    status = NodeStatus(
        api,
        site.node_name,
        __version__,
        _sources(site.disk, here, uplink if site.embedded else None, address),
        node=KubernetesNode(api, site.node_name, __version__) if site.embedded else None,
        returned=returned,
    )
    metrics = Metrics(__version__, uplink.topics(), _shown(site.disk, here, status))
    reconciling = node.start_reconciling(site, api, here, metrics)
    return HostPart(here, metrics, status, reconciling.queue)


def operate(around: Surroundings, host: HostPart) -> Mapping[str, Check]:
    """Have kopf bring the keys, and keep the EdgeNode; what /readyz asks of both."""
    operator = node.start_operator(around.site, around.endpoint, host.queue)
    around.site.supervisor.start("the EdgeNode", host.status.run)
    around.site.supervisor.start("the watch over the disk", partial(_watch, around.site.disk, host.status.poke))

    async def docker() -> None:
        await host.here.backend.check()

    async def kopf() -> str | None:
        return None if await operator.responds(OPERATOR_SECONDS) else "it has not started yet, or is stuck"

    async def disk() -> str | None:
        return f"{names.DISK_FULL}: {fault}" if (fault := around.site.disk.fault) else None

    return {"docker": docker, "operator": kopf, "disk": disk}


async def _watch(disk: Disk, changed: Callable[[], None]) -> None:
    """Look at the disk again and again; whoever shows its state is called when it fills up and when it has room."""
    while True:
        before = disk.fault
        if bool(await asyncio.to_thread(disk.look)) != bool(before):
            changed()
        await asyncio.sleep(DISK_SECONDS)


def _sources(disk: Disk, here: NodePart, uplink: Uplink | None, address: NodeApi | None) -> Sources:
    return Sources(
        host=lambda: here.sampler.host,
        interfaces=here.local.own_interfaces,
        devices=here.local.serial_devices,
        engine=here.backend.check,
        disk=lambda: disk.fault,
        api=address,
        cloud=uplink.cloud if uplink else None,
    )


def _shown(disk: Disk, here: NodePart, status: NodeStatus) -> MetricsSources:
    return MetricsSources(
        host=lambda: here.sampler.host,
        containers=lambda: here.sampler.containers,
        runtimes=lambda: status.runtimes,
        disk=lambda: disk.fault,
    )
