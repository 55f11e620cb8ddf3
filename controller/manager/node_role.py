"""The role node as a whole: this host's runtimes kept as wished, its EdgeNode, and what both tell the outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from controller import __version__, names
from controller.api import kinds, reasons
from controller.api.edgenodes import NodeApi
from controller.disk import Disk
from controller.machinery.event_recorder import Subject
from controller.manager import node, node_agent
from controller.manager.cloud_link import CloudLinkManager
from controller.manager.environment import Environment
from controller.manager.installation import Installation
from controller.manager.node import NodePart
from controller.manager.runtime_operator import RuntimeOperator
from controller.metrics.prometheus import Metrics
from controller.metrics.prometheus import Sources as MetricsSources
from controller.metrics.server import Check
from controller.nodes import disks
from controller.nodes.disks import Disks
from controller.nodes.edgenode_status import NodeStatus, Sources
from controller.nodes.kubernetes_node import KubernetesNode

OPERATOR_SECONDS = 2.0


@dataclass(frozen=True)
class NodeRole:
    """What others need of it."""

    here: NodePart
    metrics: Metrics
    status: NodeStatus
    disks: Disks
    operation: RuntimeOperator


async def start(around: Environment, here: NodePart, uplink: CloudLinkManager) -> NodeRole:
    """Reconcile from now on, as far as keys come; kopf is not started yet."""
    site, api = around.site, around.api
    address = None if site.embedded else await node_agent.start(site, around.endpoint, api, here.local)
    seen = Disks(site.disk, disks.of_docker())

    async def returned() -> None:
        await operation.resync.look()

    status = NodeStatus(
        api,
        site.node_name,
        __version__,
        _sources(seen, here, uplink if site.embedded else None, address),
        node=KubernetesNode(api, site.node_name, __version__) if site.embedded else None,
        returned=returned,
    )
    metrics = Metrics(__version__, uplink.topics(), _shown(seen, here, status))
    operation = node.start_reconciling(site, api, here, metrics)
    return NodeRole(here, metrics, status, seen, operation)


def operate(around: Environment, host: NodeRole) -> Mapping[str, Check]:
    """Have kopf bring the keys, and keep the EdgeNode; what /readyz asks of both."""
    operator = node.start_operator(around.site, around.endpoint, host.operation.queue)
    around.site.supervisor.start("the EdgeNode", host.status.run)
    _watch_disks(around.site, host)

    async def docker() -> None:
        await host.here.backend.check()

    async def kopf() -> str | None:
        return None if await operator.responds(OPERATOR_SECONDS) else "it has not started yet, or is stuck"

    return {
        "docker": docker,
        "operator": kopf,
        "disk": _has_room(host.disks.state),
        "docker-disk": _has_room(host.disks.docker),
    }


def _watch_disks(site: Installation, host: NodeRole) -> None:
    """Each disk on its own: one that hangs does not hide the other."""
    docker, root = host.disks.docker, host.here.backend.root

    def tell() -> None:
        host.status.poke()
        if fault := docker.fault:  # of the state's disk, the API tells by itself
            edge_node = Subject(kinds.EDGE_NODES, site.node_name)
            host.operation.recorder.record(edge_node, "Warning", reasons.DISK_FULL, fault)

    async def watch_docker() -> None:
        await disks.locate(docker, root)  # first, as the default may be another disk, and full
        await disks.watch(docker, tell)

    start = site.supervisor.start
    start("the watch over the disk", partial(disks.watch, host.disks.state, host.status.poke))
    start("the watch over Docker's disk", watch_docker)
    start("the place of Docker's disk", partial(disks.follow, docker, root))


def _has_room(disk: Disk) -> Check:
    async def check() -> str | None:
        return f"{names.DISK_FULL}: {disk.fault}" if disk.fault else None

    return check


def _sources(seen: Disks, here: NodePart, uplink: CloudLinkManager | None, address: NodeApi | None) -> Sources:
    return Sources(
        host=lambda: here.sampler.host,
        interfaces=here.local.own_interfaces,
        devices=here.local.serial_devices,
        engine=here.backend.check,
        disks=seen.faults,
        api=address,
        cloud=uplink.cloud if uplink else None,
    )


def _shown(seen: Disks, here: NodePart, status: NodeStatus) -> MetricsSources:
    return MetricsSources(
        host=lambda: here.sampler.host,
        containers=lambda: here.sampler.containers,
        runtimes=lambda: status.runtimes,
        disks=seen.faults,
    )
