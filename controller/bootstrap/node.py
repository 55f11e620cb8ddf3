"""The node's part: what runs here, kept as wished, and what it uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from controller import boottime
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.host import Host
from controller.backends.docker.limits import EngineLimits
from controller.backends.protocol import Backend
from controller.bootstrap import operation
from controller.bootstrap.installation import Installation
from controller.bootstrap.operation import Operation
from controller.devices.serial import Roots, SerialDevices
from controller.devices.watch import DeviceWatch
from controller.metrics.archive import Archive
from controller.metrics.containers import ContainerReader
from controller.metrics.disks import Disks
from controller.metrics.history import History
from controller.metrics.host import HostReader
from controller.metrics.keeper import Keeper
from controller.metrics.prometheus import Metrics
from controller.metrics.sampler import Sampler
from controller.network import changes
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.keeper import LeaseKeeper
from controller.network.interfaces import HostInterfaces
from controller.network.lending import Lending
from controller.node.local import LocalNode
from controller.node.proxy import Proxy
from controller.node.tracking import Tracking
from controller.operator.thread import OperatorThread
from controller.reconcile.causes import EngineContact
from controller.reconcile.queue import Queue
from controller.reconcile.scope import Scope
from controller.reconcile.sources import DeviceChanges, EngineEvents, NetworkChanges, RuntimeChanges
from controller.resources.client import ApiClient
from controller.resources.endpoint import Endpoint
from controller.state import LEASES, LENT

SAMPLER_SECONDS = 60.0  # how long its loop may be silent before it counts as stuck


@dataclass(frozen=True)
class NodePart:
    """What others need of the node."""

    backend: DockerBackend
    leases: LeaseKeeper
    guard: AddressGuard
    devices: DeviceWatch
    tracking: Tracking
    sampler: Sampler
    interfaces: HostInterfaces
    local: LocalNode


async def start(site: Installation, api: ApiClient, limits: EngineLimits) -> NodePart:
    """Measure from now on; nothing is changed yet."""
    settings = site.settings
    leases = LeaseKeeper(site.state.directory / LEASES)
    site.stack.callback(leases.close)
    guard = AddressGuard(enabled=settings.address_probe)
    site.stack.callback(guard.close)
    site.supervisor.start("the addresses in conflict", guard.check)
    devices = DeviceWatch(SerialDevices(Roots(settings.dev_dir, settings.sys_dir)).scan)
    await devices.look()
    lending = Lending(site.state.directory / LENT)
    host = Host(leases, guard, lending, lambda: devices.current)
    backend = DockerBackend(
        settings.docker_host,
        site.install_id,
        settings.internal_pool,
        host,
        pids_limit=settings.pids_limit,
        limits=limits,
    )
    site.stack.callback(backend.close)
    proxy = Proxy()
    site.stack.push_async_callback(proxy.close)
    sampler = await _start_sampling(site)
    tracking = _track(site, api, backend, sampler)
    interfaces = HostInterfaces(settings.internal_pool)
    local = LocalNode(
        sampler, interfaces, proxy, backend.foreign_container, lending.interfaces, lambda: devices.current
    )
    return NodePart(backend, leases, guard, devices, tracking, sampler, interfaces, local)


def _track(site: Installation, api: ApiClient, backend: Backend, sampler: Sampler) -> Tracking:
    """Have the sampler know what runs here: containers of the engine, and in a cluster pods of the kubelet too."""
    if site.embedded:
        tracking = Tracking((backend,), sampler)
    else:
        from controller.node.residents import Residents  # noqa: PLC0415 - only a cluster has pods

        pods = Residents(api, site.install_id, site.node_name)
        tracking = Tracking((backend, pods), sampler)
        site.supervisor.start("the pods of this node", partial(tracking.follow, pods))
    site.supervisor.start("the usage of containers", tracking.run)
    return tracking


async def _start_sampling(site: Installation) -> Sampler:
    """Sample the host and keep the history on disk."""
    history = History()
    sampler = Sampler(HostReader(Disks()), ContainerReader(), history)
    keeper = Keeper(history, Archive(site.state.directory / "metrics"))
    await sampler.start()
    site.stack.push_async_callback(sampler.stop)
    site.stack.push_async_callback(keeper.stop)
    beat = site.beats.expect("the metrics sampler", SAMPLER_SECONDS)
    site.supervisor.start("the metrics sampler", lambda: sampler.run(beat))
    site.supervisor.start("the metrics archive", keeper.run)
    return sampler


def scope(site: Installation) -> Scope:
    """This node's Docker runtimes; where we are the only node every Runtime is ours to look at."""
    return Scope("Docker", site.node_name, claims=site.embedded)


def start_operator(site: Installation, endpoint: Endpoint, queue: Queue) -> OperatorThread:
    """Have kopf bring the keys."""
    return operation.start_kopf(site, endpoint, queue, scope(site))


def start_reconciling(site: Installation, api: ApiClient, here: NodePart, metrics: Metrics) -> Operation:
    """The work queue and what feeds it, but for kopf."""
    contact, boot = EngineContact(), boottime.current()
    made = operation.start(site, api, here.backend, scope(site), metrics, engine=contact, boot=boot)
    queue, index = made.queue, made.index
    events = EngineEvents(partial(here.tracking.watched, here.backend), queue, index, contact)
    site.supervisor.start("the engine's events", events.run)
    for name, told in (("the leases", here.leases.changes), ("the addresses of others", here.guard.changes)):
        site.supervisor.start(name, RuntimeChanges(told, queue, index, site.install_id).run)
    site.supervisor.start("the serial devices", DeviceChanges(here.devices.changes, queue, index).run)
    moved = partial(changes.differences, here.interfaces.fingerprint)
    site.supervisor.start("the host's network changes", NetworkChanges(moved, queue, index).run)
    return made
