"""The whole controller: starts the API, then the parts of its roles, and stops them in reverse order.

Only an unusable setting fails the start. A missing certificate, cloud or engine is waited for.
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
from controller.machinery.controller import Controller
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
        """Make ``run`` stop properly; the runtimes keep running."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped. Raises errors.SettingError when a setting cannot be used."""
        async with AsyncExitStack() as stack:
            env = await self._environment_for(stack)
            if env is not None:
                await self._start(env)
                installation = env.installation
                self._notifier.ready(f"serving as {installation.node_name}")
                roles = ", ".join(self._settings.roles)
                log.info(
                    "Started as node %s (install id %s, roles %s)",
                    installation.node_name,
                    installation.install_id,
                    roles,
                )
            await self._stopping.wait()
            self._notifier.stopping()
        log.info("Stopped; the runtimes keep running")
        if self._forget:
            await self._remove_everything()

    async def _environment_for(self, stack: AsyncExitStack) -> Environment | None:
        if self._settings.api == "embedded":
            return await environment.standalone(self._settings, self._state, stack)
        return await environment.in_cluster(self._settings, self._state, stack, self._environment, self._stopping)

    async def _start(self, env: Environment) -> None:
        if "node" in self._settings.roles:
            await self._start_node(env)
        else:
            await self._start_leader(env)
        self._start_watchdog(env.installation)

    async def _start_node(self, env: Environment) -> None:
        """Start the node role, and the other roles of this process."""
        from controller.manager import node, node_role  # noqa: PLC0415 - import Docker and kopf, which only nodes need

        installation = env.installation
        node_part = await node.start(installation, env.api, self._limits)
        installation.stack.push_async_callback(installation.supervisor.stop)
        only = SingleNode(installation.node_name, node_part.local, "Docker")
        fleet = None if installation.embedded else self._fleet(env)
        cloud_link = CloudLinkManager(installation, env.api, fleet or only, env.retirement_store, self._end_process)
        host = await node_role.start(env, node_part, cloud_link)
        observe = self._observer(host.metrics, host.status.controller.trigger)
        if fleet is None:
            await cloud_link.open(installation, host.metrics, lambda: node_part.sampler.host, observe)
        elif installation.can_lead:
            self._start_election(env, fleet, cloud_link, host.metrics)
        checks = node_role.start_operator(env, host)
        await _start_http(installation, host.metrics, {"api": _api_check(env), **checks})

    async def _start_leader(self, env: Environment) -> None:
        """Start a process without the node role."""
        installation, fleet = env.installation, self._fleet(env)
        installation.stack.push_async_callback(installation.supervisor.stop)
        cloud_link = CloudLinkManager(installation, env.api, fleet, env.retirement_store, self._end_process)
        sources = MetricsSources(
            host=None, containers=dict, runtimes=dict, disks=lambda: {STATE: installation.disk.fault}
        )
        metrics = Metrics(__version__, sources)
        self._start_election(env, fleet, cloud_link, metrics)
        await _start_http(installation, metrics, {"api": _api_check(env)})

    def _fleet(self, env: Environment) -> ClusterNodeDirectory:
        fleet = ClusterNodeDirectory(env.api, self._settings.node_token, pods="pods" in self._settings.roles)
        env.installation.stack.push_async_callback(fleet.close)
        return fleet

    def _start_election(
        self, env: Environment, fleet: ClusterNodeDirectory, cloud_link: CloudLinkManager, metrics: Metrics
    ) -> None:
        publisher = CloudStatusPublisher(env.api, cloud_link.cloud)
        observe = self._observer(metrics, publisher.controller.trigger)

        async def lead(term: Installation) -> None:
            if "pods" in self._settings.roles:
                from controller.manager import pods  # noqa: PLC0415 - only needed for the pods role

                pods.start(term, env.endpoint, env.api, metrics)
            if "link" in self._settings.roles:
                await cloud_link.open(term, metrics, lambda: fleet.reading.host, observe)
                term.supervisor.start("the cloud status publisher", publisher.controller.run)

        leader.start(env.installation, env.api, fleet, lead)

    def _observer(self, metrics: Metrics, trigger: Callable[[], None]) -> Callable[[LinkState], None]:
        """Return a callback for when the link comes up, goes down, or stays down for another reason."""
        before = LinkState()

        def observe(state: LinkState) -> None:
            nonlocal before
            if state.connected != before.connected:
                metrics.cloud_connected(state.connected)
                self._notifier.status("connected to the cloud" if state.connected else "the link to the cloud is down")
            if (state.connected, state.last_error) != (before.connected, before.last_error):
                trigger()
            before = state

        return observe

    def _start_watchdog(self, installation: Installation) -> None:
        beat = installation.liveness.expect("the main loop", LOOP_SECONDS)

        alive = Controller("prove that the loop runs", partial(asyncio.sleep, 0), period=LOOP_BEAT_SECONDS, beat=beat)
        feed = partial(self._notifier.feed_watchdog, installation.liveness.stale)
        watchdog = Controller("feed the watchdog", feed, period=self._notifier.watchdog_seconds / 2 or None)
        installation.supervisor.start("the main loop's heartbeat", alive.run)
        installation.supervisor.start("systemd's watchdog", watchdog.run)

    async def _end_process(self) -> None:
        """End the process and remove the state, because nothing is left to serve."""
        self._forget = True
        self.stop()

    async def _remove_everything(self) -> None:
        from controller.backends.docker.containers import purge  # noqa: PLC0415 - only after delete_orchestrator

        await asyncio.to_thread(self._state.forget)
        await purge.remove_own_container(self._settings.docker_host)


def _api_check(env: Environment) -> Check:
    """Return a check that the API answers."""

    async def kubernetes() -> None:
        await env.api.get(core_kinds.NAMESPACES, env.installation.settings.namespace)

    return kubernetes


async def _start_http(installation: Installation, metrics: Metrics, checks: Mapping[str, Check]) -> None:
    listen = installation.settings.http_listen
    server = StatusServer(listen.host, listen.port, installation.liveness, checks, metrics)
    await server.start()
    installation.stack.push_async_callback(server.stop)
