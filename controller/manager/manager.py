"""The whole controller, from start to stop: the API first, then the parts that its roles name; back in reverse order.

Only a setting that cannot be used ends the start. A certificate, a cloud or an engine that is missing is waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from controller import __version__
from controller.backends.docker.engine.limits import LIMITS, EngineLimits
from controller.cloud.link import LinkState
from controller.machinery import kinds as core_kinds
from controller.manager import environment, leader
from controller.manager.cloud_link import CloudLinkManager
from controller.manager.environment import Environment
from controller.manager.installation import Installation
from controller.metrics.prometheus import Metrics
from controller.metrics.prometheus import Sources as MetricsSources
from controller.metrics.server import Check, StatusServer
from controller.nodes.cluster.cloud_status_publisher import CloudStatusPublisher
from controller.nodes.cluster.directory import ClusterNodeDirectory
from controller.nodes.disks import STATE
from controller.nodes.single_node import SingleNode
from controller.settings import Settings
from controller.state import State
from controller.systemd import Notifier

LOOP_SECONDS = 20.0
LOOP_BEAT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Manager:
    """One run of the controller. ``stop`` may be called from a signal handler, any number of times."""

    def __init__(
        self, settings: Settings, state: State, environment: Mapping[str, str], limits: EngineLimits = LIMITS
    ) -> None:
        self._limits = limits
        self._settings = settings
        self._state = state
        self._environment = environment
        self._notifier = Notifier(environment)
        self._stopping = asyncio.Event()
        self._forget = False

    def stop(self) -> None:
        """End ``run`` in good order; the runtimes go on."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped. Raises errors.SettingError when a setting cannot be used."""
        async with AsyncExitStack() as stack:
            around = await self._surroundings(stack)
            if around is not None:
                await self._start(around)
                site = around.site
                self._notifier.ready(f"serving as {site.node_name}")
                roles = ", ".join(self._settings.roles)
                log.info("Started as node %s (install id %s, roles %s)", site.node_name, site.install_id, roles)
            await self._stopping.wait()
            self._notifier.stopping()
        log.info("Stopped; the runtimes go on")
        if self._forget:
            await self._leave_nothing()

    async def _surroundings(self, stack: AsyncExitStack) -> Environment | None:
        if self._settings.api == "embedded":
            return await environment.standalone(self._settings, self._state, stack)
        return await environment.in_cluster(self._settings, self._state, stack, self._environment, self._stopping)

    async def _start(self, around: Environment) -> None:
        if "node" in self._settings.roles:
            await self._start_node(around)
        else:
            await self._start_leader(around)
        self._start_watchdog(around.site)

    async def _start_node(self, around: Environment) -> None:
        """The role node, and whatever else this process does."""
        from controller.manager import node  # noqa: PLC0415 - so is this
        from controller.manager import node_role as host_part  # noqa: PLC0415 - Docker's and kopf's weight, for nodes only

        site = around.site
        here = await node.start(site, around.api, self._limits)
        site.stack.push_async_callback(site.supervisor.stop)
        only = SingleNode(site.node_name, here.local, "Docker")
        fleet = None if site.embedded else self._fleet(around)
        uplink = CloudLinkManager(site, around.api, fleet or only, around.marker, self._leave)
        host = await host_part.start(around, here, uplink)
        observe = self._observer(host.metrics, host.status.poke)
        if fleet is None:
            await uplink.open(site, host.metrics, lambda: here.sampler.host, observe)
        elif site.leads:
            self._prepare_lead(around, fleet, uplink, host.metrics)
        checks = host_part.operate(around, host)
        await _start_http(site, host.metrics, {"api": _answers(around), **checks})

    async def _start_leader(self, around: Environment) -> None:
        """A process without a node of its own."""
        site, fleet = around.site, self._fleet(around)
        site.stack.push_async_callback(site.supervisor.stop)
        uplink = CloudLinkManager(site, around.api, fleet, around.marker, self._leave)
        sources = MetricsSources(host=None, containers=dict, runtimes=dict, disks=lambda: {STATE: site.disk.fault})
        metrics = Metrics(__version__, uplink.topics(), sources)
        self._prepare_lead(around, fleet, uplink, metrics)
        await _start_http(site, metrics, {"api": _answers(around)})

    def _fleet(self, around: Environment) -> ClusterNodeDirectory:
        fleet = ClusterNodeDirectory(around.api, self._settings.node_token, pods="pods" in self._settings.roles)
        around.site.stack.push_async_callback(fleet.close)
        return fleet

    def _prepare_lead(
        self, around: Environment, fleet: ClusterNodeDirectory, uplink: CloudLinkManager, metrics: Metrics
    ) -> None:
        notice = CloudStatusPublisher(around.api, uplink.cloud)
        observe = self._observer(metrics, notice.poke)

        async def lead(term: Installation) -> None:
            if "pods" in self._settings.roles:
                from controller.manager import pods  # noqa: PLC0415 - only a cluster that runs pods

                pods.start(term, around.endpoint, around.api, metrics)
            if "link" in self._settings.roles:
                await uplink.open(term, metrics, lambda: fleet.reading.host, observe)
                term.supervisor.start("the word on the link", notice.run)

        leader.start(around.site, around.api, fleet, lead)

    def _observer(self, metrics: Metrics, poke: Callable[[], None]) -> Callable[[LinkState], None]:
        """What happens when the link comes up, goes down, or stays down for another reason."""
        before = LinkState()

        def observe(state: LinkState) -> None:
            nonlocal before
            if state.connected != before.connected:
                metrics.cloud_connected(state.connected)
                self._notifier.status("connected to the cloud" if state.connected else "the link to the cloud is down")
            if (state.connected, state.last_error) != (before.connected, before.last_error):
                poke()
            before = state

        return observe

    def _start_watchdog(self, site: Installation) -> None:
        beat = site.beats.expect("the main loop", LOOP_SECONDS)

        async def turn() -> None:
            while True:
                beat()
                await asyncio.sleep(LOOP_BEAT_SECONDS)

        site.supervisor.start("the main loop's beat", turn)
        site.supervisor.start("systemd's watchdog", partial(self._notifier.feed_watchdog, site.beats.stale))

    async def _leave(self) -> None:
        """End, as nothing is left to serve, and leave nothing behind."""
        self._forget = True
        self.stop()

    async def _leave_nothing(self) -> None:
        from controller.backends.docker.containers import own_container  # noqa: PLC0415 - only an orchestrator that was deleted

        await asyncio.to_thread(self._state.forget)
        await own_container.remove(self._settings.docker_host)


def _answers(around: Environment) -> Check:
    """Whether the API answers."""

    async def kubernetes() -> None:
        await around.api.get(core_kinds.NAMESPACES, around.site.settings.namespace)

    return kubernetes


async def _start_http(site: Installation, metrics: Metrics, checks: Mapping[str, Check]) -> None:
    listen = site.settings.http_listen
    server = StatusServer(listen.host, listen.port, site.beats, checks, metrics)
    await server.start()
    site.stack.push_async_callback(server.stop)
