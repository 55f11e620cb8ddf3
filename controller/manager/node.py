"""Builds the node role: runs this host's runtimes with Docker, measures the host, and reports its EdgeNode."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from controller import __version__, boottime
from controller.api import kinds, reasons
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from controller.devices.serial import Roots, SerialDevices
from controller.machinery.event_recorder import Subject
from controller.manager.environment import Environment, Run
from controller.manager.runtime_operator import RuntimeOperator
from controller.metrics.archive import Archive
from controller.metrics.containers import ContainerReader
from controller.metrics.disks import Disks as MountedDisks
from controller.metrics.history import History
from controller.metrics.history_store import HistoryStore
from controller.metrics.host import HostReader, HostReading
from controller.metrics.prometheus import Sources as MetricsSources
from controller.metrics.sampler import Sampler
from controller.network import changes
from controller.network.arp.guard import AddressGuard
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.interface_passthrough import InterfacePassthrough
from controller.network.interfaces import HostInterfaces
from controller.nodes import disks
from controller.nodes.container_tracker import ContainerTracker
from controller.nodes.disks import Disks
from controller.nodes.edgenode_status import EdgeNodePublisher, Sources
from controller.nodes.kubernetes_node import KubernetesNode
from controller.nodes.local_node import LocalNode
from controller.nodes.proxy import Proxy
from controller.runtimes.event_sources import EventSources
from controller.runtimes.facets.devices import SERIAL_DEVICE
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.scope import Scope
from controller.state import LEASES, METRICS, PASSTHROUGH

if TYPE_CHECKING:
    from controller.manager.node_agent import NodeAgent

SAMPLER_SECONDS = 60.0  # time without a heartbeat after which a loop counts as stuck


class Host:
    """The host of this process: its engine, devices, network and usage."""

    def __init__(self, environment: Environment) -> None:
        installation, settings, stack = environment.installation, environment.installation.settings, environment.stack
        self.leases = LeaseManager(installation.state.directory / LEASES, checks=settings.address_probe)
        stack.callback(self.leases.close)
        self.guard = AddressGuard(enabled=settings.address_probe)
        stack.callback(self.guard.close)
        self.devices = SerialDevices(Roots(settings.dev_dir, settings.sys_dir))
        self.passthrough = InterfacePassthrough(installation.state.directory / PASSTHROUGH)
        self.backend = DockerBackend(
            settings.docker_host,
            installation.install_id,
            settings.internal_pool,
            HostServices(self.leases, self.guard, self.passthrough, lambda: self.devices.current),
            pids_limit=settings.pids_limit,
            dedicate_addressed=settings.dedicate_addressed,
            limits=environment.limits,
        )
        stack.callback(self.backend.close)
        history = History()
        beat = environment.beat("the metrics sampler", SAMPLER_SECONDS)
        self.sampler = Sampler(HostReader(MountedDisks()), ContainerReader(), history, beat=beat)
        self.history = HistoryStore(history, Archive(installation.state.directory / METRICS))
        self.interfaces = HostInterfaces(settings.internal_pool)
        self.local = self._local(stack)

    async def open(self, stack: AsyncExitStack) -> None:
        """Take the first readings, so that they are available."""
        # Before the first pass, which would otherwise take every serial device for unplugged.
        await self.devices.refresh()
        await self.sampler.start()
        stack.push_async_callback(self.sampler.stop)
        stack.push_async_callback(self.history.stop)

    def reading(self) -> HostReading:
        """Return the latest usage of the host."""
        return self.sampler.host

    def _local(self, stack: AsyncExitStack) -> LocalNode:
        proxy = Proxy()
        stack.push_async_callback(proxy.close)
        return LocalNode(
            self.sampler,
            self.interfaces,
            proxy,
            self.backend.foreign_container,
            self.passthrough.interfaces,
            lambda: self.devices.current,
        )


class Node:
    """The parts of the role; roles.py lists those that run. ``agent`` is None on a standalone host."""

    def __init__(self, environment: Environment, host: Host, agent: NodeAgent | None) -> None:
        installation = environment.installation
        self.host, self.agent = host, agent
        self.tracker = ContainerTracker((host.backend, *([agent.pods] if agent else [])), host.sampler)
        contact = EngineContact()
        # Nobody else places Runtimes on a standalone host; in a cluster the scheduler does.
        served = installation.settings.served_namespaces
        scope = Scope("Docker", installation.node_name, claims=installation.embedded, namespaces=served)
        self.operator = RuntimeOperator(environment, host.backend, scope, engine=contact, boot=boottime.current())
        sources = EventSources(self.operator.queue, self.operator.index, installation.install_id)
        # Passes and metrics share one stream of Docker's events, as each stream holds a connection and a thread.
        self.event_sources: Mapping[str, Run] = {
            "the engine's events": partial(sources.follow_engine, partial(self.tracker.watched, host.backend), contact),
            "the leases": partial(sources.follow_runtimes, host.leases.changes),
            "the address conflicts": partial(sources.follow_runtimes, host.guard.changes),
            "the serial devices": sources.follow_devices(SERIAL_DEVICE, host.devices.changed).run,
            "the host's network changes": partial(sources.follow_network, changes.changes),
        }
        self.disks = Disks(installation.disk, disks.of_docker())
        self.edge_node = self._edge_node(environment)
        self._subject = Subject(kinds.EDGE_NODES, installation.node_name)
        # In a cluster the link belongs to the leader, which publishes its state itself.
        if installation.embedded:
            environment.link_status.on_change(self.edge_node.controller.trigger)
        environment.metrics.read_from(self._states())

    @property
    def cluster_controllers(self) -> Mapping[str, Run]:
        """Return the loops that a node has only in a cluster."""
        if self.agent is None:
            return {}
        follow_pods = partial(self.tracker.follow, self.agent.pods)
        return {"the node's Lease": self.agent.lease.controller.run, "the pods of this node": follow_pods}

    async def check_docker(self) -> None:
        """Check that the engine answers. Raises errors.Waiting."""
        await self.host.backend.check()

    async def watch_state_disk(self) -> None:
        """Watch the disk of the state, which the API itself reports."""
        await disks.watch(self.disks.state, self.edge_node.controller.trigger)

    async def watch_docker_disk(self) -> None:
        """Watch Docker's disk; separately, so that a disk that hangs does not hide the other."""
        # Locate it before the watch: the default path may be on another disk, and full.
        await disks.locate(self.disks.docker, self.host.backend.root)
        await disks.watch(self.disks.docker, self._on_docker_disk)

    async def follow_docker_disk(self) -> None:
        """Follow Docker when it moves to another disk."""
        await disks.follow(self.disks.docker, self.host.backend.root)

    def _on_docker_disk(self) -> None:
        self.edge_node.controller.trigger()
        if fault := self.disks.docker.fault:
            self.operator.recorder.record(self._subject, "Warning", reasons.DISK_FULL, fault)

    def _edge_node(self, environment: Environment) -> EdgeNodePublisher:
        installation, local = environment.installation, self.host.local
        api, name, embedded = installation.api, installation.node_name, installation.embedded
        sources = Sources(
            host=self.host.reading,
            interfaces=local.own_interfaces,
            devices=local.serial_devices,
            engine=self.host.backend.check,
            disks=self.disks.faults,
            api=self.agent.address if self.agent else None,
            cloud=environment.link_status.current if embedded else None,
        )
        return EdgeNodePublisher(
            api,
            name,
            __version__,
            sources,
            node=KubernetesNode(api, name, __version__) if embedded else None,
            returned=self.operator.resync.resync,
            served=installation.settings.served_namespaces,
        )

    def _states(self) -> MetricsSources:
        return MetricsSources(
            host=self.host.reading,
            containers=lambda: self.host.sampler.containers,
            runtimes=lambda: self.edge_node.runtimes,
            disks=self.disks.faults,
        )


async def build(environment: Environment) -> Node:
    """Build the role; nothing is reconciled yet. Raises errors.SettingError."""
    host = Host(environment)
    await host.open(environment.stack)
    agent = None
    if not environment.installation.embedded:
        from controller.manager import node_agent  # noqa: PLC0415 - only a cluster has other nodes

        agent = await node_agent.start(environment, host.local)
    return Node(environment, host, agent)
