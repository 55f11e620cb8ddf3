"""The node's part: what runs here, kept as wished, and what it uses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import psutil

from controller.backends.base import Backend
from controller.backends.docker.backend import DockerBackend
from controller.bootstrap.installation import Installation
from controller.metrics import counted
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
from controller.node.local import LocalNode
from controller.node.proxy import Proxy
from controller.node.tracking import Tracking
from controller.operator.thread import OperatorThread
from controller.reconcile.attempt import Surroundings
from controller.reconcile.events import EventRecorder
from controller.reconcile.keys import KeyIndex
from controller.reconcile.queue import Queue
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.restarts import EngineContact
from controller.reconcile.sources import EngineEvents, NetworkChanges, Resync, RuntimeChanges
from controller.resources.client import ApiClient
from controller.resources.endpoint import Endpoint
from controller.state import LEASES

SAMPLER_SECONDS = 60.0  # how long each loop may be silent before it counts as stuck
RESYNC_SECONDS = 300.0
OPERATOR_SECONDS = 120.0
OPERATOR_CHECK_SECONDS = 10.0
QUEUE_GRACE_SECONDS = 1.5
FLUSH_GRACE_SECONDS = 0.5
OPERATOR_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class NodePart:
    """What others need of the node."""

    backend: Backend
    leases: LeaseKeeper
    guard: AddressGuard
    tracking: Tracking
    sampler: Sampler
    interfaces: HostInterfaces
    local: LocalNode


async def start(site: Installation) -> NodePart:
    """Measure from now on; nothing is changed yet."""
    settings = site.settings
    leases = LeaseKeeper(site.state.directory / LEASES)
    site.stack.callback(leases.close)
    guard = AddressGuard(enabled=settings.address_probe)
    site.stack.callback(guard.close)
    site.supervisor.start("the addresses in conflict", guard.check)
    backend = DockerBackend(settings.docker_host, site.install_id, settings.internal_pool, leases, guard)
    site.stack.callback(backend.close)
    proxy = Proxy()
    site.stack.push_async_callback(proxy.close)
    sampler = await _start_sampling(site)
    tracking = Tracking(backend, sampler)
    site.supervisor.start("the usage of containers", tracking.run)
    interfaces = HostInterfaces(settings.internal_pool)
    local = LocalNode(sampler, interfaces, proxy, backend.foreign_container)
    return NodePart(backend, leases, guard, tracking, sampler, interfaces, local)


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


def start_operator(site: Installation, endpoint: Endpoint, queue: Queue) -> OperatorThread:
    """Run kopf in its thread, and see that its loop turns."""
    # Where we are the only node every Runtime is ours to look at; else the API selects.
    selector = "" if site.embedded else f"spec.nodeName={site.node_name},spec.backend=Docker"
    operator = OperatorThread(endpoint, queue.reconcile, node=site.node_name, field_selector=selector)
    operator.start()
    site.stack.push_async_callback(operator.stop, OPERATOR_GRACE_SECONDS)
    beat = site.beats.expect("the operator", OPERATOR_SECONDS)

    async def watch() -> None:
        while True:
            if await operator.responds(OPERATOR_CHECK_SECONDS):
                beat()
            await asyncio.sleep(OPERATOR_CHECK_SECONDS)

    site.supervisor.start("the watch over the operator", watch)
    return operator


@dataclass(frozen=True)
class Reconciling:
    """The work queue, and ``look`` that puts all Runtimes of this node into it."""

    queue: Queue
    look: Callable[[], Awaitable[None]]


def start_reconciling(site: Installation, api: ApiClient, here: NodePart, metrics: Metrics) -> Reconciling:
    """The work queue and what feeds it, but for kopf."""
    recorder = EventRecorder(api, site.node_name, time.time)
    index = KeyIndex()
    contact = EngineContact()
    around = Surroundings(
        api=api,
        backend=here.backend,
        node=site.node_name,
        image_prefixes=site.settings.image_prefixes,
        clock=time.time,
        boot_time=psutil.boot_time(),
        engine=contact,
    )
    reconciler = Reconciler(around, site.install_id, recorder, index, claims=site.embedded)
    queue = Queue(counted.reconcile(reconciler.reconcile, metrics))
    site.stack.push_async_callback(_flush, recorder)
    site.stack.push_async_callback(queue.stop, QUEUE_GRACE_SECONDS)
    resync = Resync(
        api,
        here.backend,
        queue,
        recorder,
        site.beats.expect("the slow timer", RESYNC_SECONDS),
        install_id=site.install_id,
        node=site.node_name,
        claims=site.embedded,
    )
    site.supervisor.start("the events of Runtimes", recorder.run)
    site.supervisor.start(
        "the engine's events", EngineEvents(here.tracking.watched, queue, index, contact, time.time).run
    )
    for name, told in (("the leases", here.leases.changes), ("the addresses of others", here.guard.changes)):
        site.supervisor.start(name, RuntimeChanges(told, queue, index, site.install_id).run)
    moved = partial(changes.differences, here.interfaces.fingerprint)
    site.supervisor.start("the host's network changes", NetworkChanges(moved, queue, index).run)
    site.supervisor.start("the slow timer", resync.run)
    return Reconciling(queue, resync.look)


async def _flush(recorder: EventRecorder) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(recorder.flush(), FLUSH_GRACE_SECONDS)
