"""Builds and starts the node's parts: backend, sampler, reconciling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from controller import boottime
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.engine.limits import EngineLimits
from controller.backends.docker.host_services import HostServices
from controller.backends.protocol import Backend
from controller.devices.serial import Roots, SerialDevices
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.manager import runtime_operator
from controller.manager.installation import Installation
from controller.manager.runtime_operator import RuntimeOperator
from controller.metrics.archive import Archive
from controller.metrics.containers import ContainerReader
from controller.metrics.disks import Disks
from controller.metrics.history import History
from controller.metrics.history_store import HistoryStore
from controller.metrics.host import HostReader
from controller.metrics.prometheus import Metrics
from controller.metrics.sampler import Sampler
from controller.network import changes
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.interface_passthrough import InterfacePassthrough
from controller.network.interfaces import HostInterfaces
from controller.nodes.container_tracker import ContainerTracker
from controller.nodes.local_node import LocalNode
from controller.nodes.proxy import Proxy
from controller.runtimes.engine_contact import EngineContact
from controller.runtimes.event_sources import DeviceChanges, EngineEvents, NetworkChanges, RuntimeChanges
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.result import RuntimeQueue
from controller.runtimes.scope import Scope
from controller.state import LEASES, PASSTHROUGH

SAMPLER_SECONDS = 60.0  # time without a heartbeat after which its loop counts as stuck


@dataclass(frozen=True)
class NodePart:
    """The node's parts that others use."""

    backend: DockerBackend
    leases: LeaseManager
    guard: AddressGuard
    devices: SerialDevices
    tracking: ContainerTracker
    sampler: Sampler
    interfaces: HostInterfaces
    local: LocalNode


async def start(installation: Installation, api: ApiClient, limits: EngineLimits) -> NodePart:
    """Start measuring; nothing is reconciled yet."""
    settings = installation.settings
    leases = LeaseManager(installation.state.directory / LEASES)
    installation.stack.callback(leases.close)
    guard = AddressGuard(enabled=settings.address_probe)
    installation.stack.callback(guard.close)
    installation.supervisor.start("the address guard", guard.check)
    devices = SerialDevices(Roots(settings.dev_dir, settings.sys_dir))
    await devices.refresh()
    passthrough = InterfacePassthrough(installation.state.directory / PASSTHROUGH)
    host = HostServices(leases, guard, passthrough, lambda: devices.current)
    backend = DockerBackend(
        settings.docker_host,
        installation.install_id,
        settings.internal_pool,
        host,
        pids_limit=settings.pids_limit,
        limits=limits,
    )
    installation.stack.callback(backend.close)
    proxy = Proxy()
    installation.stack.push_async_callback(proxy.close)
    sampler = await _start_sampling(installation)
    tracking = _track(installation, api, backend, sampler)
    interfaces = HostInterfaces(settings.internal_pool)
    local = LocalNode(
        sampler, interfaces, proxy, backend.foreign_container, passthrough.interfaces, lambda: devices.current
    )
    return NodePart(backend, leases, guard, devices, tracking, sampler, interfaces, local)


def _track(installation: Installation, api: ApiClient, backend: Backend, sampler: Sampler) -> ContainerTracker:
    """Report the running containers to the sampler: the engine's and, in a cluster, those of pods."""
    if installation.embedded:
        tracking = ContainerTracker((backend,), sampler)
    else:
        from controller.nodes.pod_containers import PodContainers  # noqa: PLC0415 - only a cluster has pods

        pods = PodContainers(api, installation.install_id, installation.node_name)
        tracking = ContainerTracker((backend, pods), sampler)
        installation.supervisor.start("the pods of this node", partial(tracking.follow, pods))
    installation.supervisor.start("the container tracker", tracking.controller.run)
    return tracking


async def _start_sampling(installation: Installation) -> Sampler:
    """Sample the host and store the history on disk."""
    history = History()
    beat = installation.liveness.expect("the metrics sampler", SAMPLER_SECONDS)
    sampler = Sampler(HostReader(Disks()), ContainerReader(), history, beat=beat)
    store = HistoryStore(history, Archive(installation.state.directory / "metrics"))
    await sampler.start()
    installation.stack.push_async_callback(sampler.stop)
    installation.stack.push_async_callback(store.stop)
    installation.supervisor.start("the metrics sampler", sampler.controller.run)
    installation.supervisor.start("the metrics archive", store.controller.run)
    return sampler


def scope(installation: Installation) -> Scope:
    """Return the scope of this node's Docker runtimes; a standalone node takes every Runtime."""
    return Scope("Docker", installation.node_name, claims=installation.embedded)


def start_operator(installation: Installation, endpoint: Endpoint, queue: RuntimeQueue) -> OperatorThread:
    """Start kopf, which queues the keys of changed Runtimes."""
    return runtime_operator.start_kopf(installation, endpoint, queue, scope(installation))


def start_reconciling(
    installation: Installation, api: ApiClient, node_part: NodePart, metrics: Metrics
) -> RuntimeOperator:
    """Start the work queue and its event sources, except kopf."""
    contact, boot = EngineContact(), boottime.current()
    operator = runtime_operator.start(
        installation, api, node_part.backend, scope(installation), metrics, engine=contact, boot=boot
    )
    queue, index = operator.queue, operator.index
    events = EngineEvents(partial(node_part.tracking.watched, node_part.backend), queue, index, contact)
    installation.supervisor.start("the engine's events", events.run)
    for name, subscribe in (
        ("the leases", node_part.leases.changes),
        ("the address conflicts", node_part.guard.changes),
    ):
        installation.supervisor.start(name, RuntimeChanges(subscribe, queue, index, installation.install_id).run)
    devices = DeviceChanges(node_part.devices.refresh, queue, index)
    installation.supervisor.start("the serial devices", devices.controller.run)
    moved = partial(changes.differences, node_part.interfaces.fingerprint)
    installation.supervisor.start("the host's network changes", NetworkChanges(moved, queue, index).run)
    return operator
