"""The node role: reconciles this host's runtimes and reports its EdgeNode and metrics."""

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
from controller.nodes.edgenode_status import EdgeNodePublisher, Sources
from controller.nodes.kubernetes_node import KubernetesNode

OPERATOR_SECONDS = 2.0


@dataclass(frozen=True)
class NodeRole:
    """The parts of the role that others use."""

    node_part: NodePart
    metrics: Metrics
    status: EdgeNodePublisher
    disks: Disks
    operation: RuntimeOperator


async def start(env: Environment, node_part: NodePart, cloud_link: CloudLinkManager) -> NodeRole:
    """Start reconciling queued keys; kopf is not started yet."""
    installation, api = env.installation, env.api
    address = (
        None if installation.embedded else await node_agent.start(installation, env.endpoint, api, node_part.local)
    )
    seen = Disks(installation.disk, disks.of_docker())

    async def returned() -> None:
        await operation.resync.resync()

    status = EdgeNodePublisher(
        api,
        installation.node_name,
        __version__,
        _status_sources(seen, node_part, cloud_link if installation.embedded else None, address),
        node=KubernetesNode(api, installation.node_name, __version__) if installation.embedded else None,
        returned=returned,
    )
    metrics = Metrics(__version__, _metrics_sources(seen, node_part, status))
    operation = node.start_reconciling(installation, api, node_part, metrics)
    return NodeRole(node_part, metrics, status, seen, operation)


def start_operator(env: Environment, host: NodeRole) -> Mapping[str, Check]:
    """Start kopf and the EdgeNode's status; return their readiness checks."""
    operator = node.start_operator(env.installation, env.endpoint, host.operation.queue)
    env.installation.supervisor.start("the EdgeNode", host.status.controller.run)
    _watch_disks(env.installation, host)

    async def docker() -> None:
        await host.node_part.backend.check()

    async def kopf() -> str | None:
        return None if await operator.responds(OPERATOR_SECONDS) else "not started yet, or stuck"

    return {
        "docker": docker,
        "operator": kopf,
        "disk": _has_room(host.disks.state),
        "docker-disk": _has_room(host.disks.docker),
    }


def _watch_disks(installation: Installation, host: NodeRole) -> None:
    """Watch each disk separately, so that a hanging one does not hide the other."""
    docker, root = host.disks.docker, host.node_part.backend.root

    def report() -> None:
        host.status.controller.trigger()
        if fault := docker.fault:  # the API itself reports the state's disk
            edge_node = Subject(kinds.EDGE_NODES, installation.node_name)
            host.operation.recorder.record(edge_node, "Warning", reasons.DISK_FULL, fault)

    async def watch_docker() -> None:
        await disks.locate(docker, root)  # before the watch, as the default path may be on another disk, and full
        await disks.watch(docker, report)

    start = installation.supervisor.start
    start("the disk watch", partial(disks.watch, host.disks.state, host.status.controller.trigger))
    start("the watch of Docker's disk", watch_docker)
    start("the location of Docker's disk", partial(disks.follow, docker, root))


def _has_room(disk: Disk) -> Check:
    async def check() -> str | None:
        return f"{names.DISK_FULL}: {disk.fault}" if disk.fault else None

    return check


def _status_sources(
    seen: Disks, node_part: NodePart, cloud_link: CloudLinkManager | None, address: NodeApi | None
) -> Sources:
    return Sources(
        host=lambda: node_part.sampler.host,
        interfaces=node_part.local.own_interfaces,
        devices=node_part.local.serial_devices,
        engine=node_part.backend.check,
        disks=seen.faults,
        api=address,
        cloud=cloud_link.cloud if cloud_link else None,
    )


def _metrics_sources(seen: Disks, node_part: NodePart, status: EdgeNodePublisher) -> MetricsSources:
    return MetricsSources(
        host=lambda: node_part.sampler.host,
        containers=lambda: node_part.sampler.containers,
        runtimes=lambda: status.runtimes,
        disks=seen.faults,
    )
