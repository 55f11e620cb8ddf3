"""The whole controller, from start to stop: the API first, then the link, then the operator; back in reverse order.

Only a setting that cannot be used ends the start. A certificate, a cloud or an engine that is missing is waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from controller import __version__
from controller.backends.docker import own_container
from controller.bootstrap import api as api_part
from controller.bootstrap import installation, link, node
from controller.bootstrap.installation import Installation
from controller.cloud.commands.retirement import Departure
from controller.cloud.link import Link, LinkState
from controller.metrics.prometheus import Metrics
from controller.metrics.prometheus import Sources as MetricsSources
from controller.metrics.server import Check, StatusServer
from controller.node import link_status
from controller.node.kubernetes_node import KubernetesNode
from controller.node.status import Cloud, NodeStatus, Sources
from controller.operator.thread import OperatorThread
from controller.resources import kinds
from controller.resources.client import ApiClient
from controller.settings import Settings
from controller.state import State
from controller.systemd import Notifier

LOOP_SECONDS = 20.0
LOOP_BEAT_SECONDS = 2.0
OPERATOR_SECONDS = 2.0

log = logging.getLogger(__name__)


class Service:
    """One run of the controller. ``stop`` may be called from a signal handler, any number of times."""

    def __init__(self, settings: Settings, state: State, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._state = state
        self._notifier = Notifier(environment)
        self._stopping = asyncio.Event()
        self._retired = False
        self._forget = False
        self._link: Link | None = None

    def stop(self) -> None:
        """End ``run`` in good order; the runtimes go on."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped. Raises errors.SettingError when a setting cannot be used."""
        async with AsyncExitStack() as stack:
            site = await installation.identify(self._settings, self._state, stack)
            self._retired = await asyncio.to_thread(lambda: self._state.retired)
            await self._start(site)
            self._notifier.ready(f"serving as {site.node_name}")
            log.info("Started as node %s (install id %s)", site.node_name, site.install_id)
            await self._stopping.wait()
            self._notifier.stopping()
        log.info("Stopped; the runtimes go on")
        if self._forget:
            await asyncio.to_thread(self._state.forget)
            await own_container.remove(self._settings.docker_host)

    async def _start(self, site: Installation) -> None:
        endpoint, api = await api_part.start(site)
        here = await node.start(site)
        site.stack.push_async_callback(site.supervisor.stop)
        commands = link.build(site, api, here.local, Departure(self._retire, self._leave))
        beside = KubernetesNode(api, site.node_name, __version__) if site.embedded else None
        status = NodeStatus(api, site.node_name, __version__, self._node_sources(here), node=beside)
        metrics = _metrics(here, status, commands)
        queue = node.start_reconciling(site, api, here, metrics)
        if self._settings.cloud_url and not self._retired:
            observe = self._observer(metrics, status)
            self._link = link.start(site, commands, metrics, lambda: here.sampler.host, observe)
        operator = node.start_operator(site, endpoint, queue)
        await _start_http(site, metrics, _checks(site, api, here, operator))
        site.supervisor.start("the EdgeNode", status.run)
        self._start_watchdog(site)

    def _node_sources(self, here: node.NodePart) -> Sources:
        return Sources(
            host=lambda: here.sampler.host,
            interfaces=partial(here.local.interfaces, include_virtual=False),
            engine=here.backend.health,
            cloud=self._cloud,
        )

    def _cloud(self) -> Cloud:
        if self._retired:
            return link_status.retired()
        if self._link is None:
            return link_status.without_cloud()
        return link_status.of(self._link.state, self._settings.cloud_url)

    def _observer(self, metrics: Metrics, status: NodeStatus) -> Callable[[LinkState], None]:
        """What happens when the link comes up, goes down, or stays down for another reason."""
        before = LinkState()

        def observe(state: LinkState) -> None:
            nonlocal before
            if state.connected != before.connected:
                metrics.cloud_connected(state.connected)
                self._notifier.status("connected to the cloud" if state.connected else "the link to the cloud is down")
            if (state.connected, state.last_error) != (before.connected, before.last_error):
                status.poke()
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

    async def _retire(self) -> None:
        await asyncio.to_thread(self._state.retire)
        self._retired = True

    async def _leave(self, others_remain: bool) -> None:
        """After delete_orchestrator: serve on for the Runtimes of others, or end and leave nothing behind."""
        if others_remain:
            log.info("Retired; Runtimes of others remain and are served on without the cloud")
            if self._link is not None:
                await self._link.stop()
            return
        log.info("Retired; nothing is left to serve")
        self._forget = self._settings.api == "embedded"
        self.stop()


def _metrics(here: node.NodePart, status: NodeStatus, commands: link.LinkPart) -> Metrics:
    sources = MetricsSources(
        host=lambda: here.sampler.host,
        containers=lambda: here.sampler.containers,
        runtimes=lambda: status.runtimes,
    )
    return Metrics(__version__, [topic.name for topic in commands.topics], sources)


def _checks(site: Installation, api: ApiClient, here: node.NodePart, operator: OperatorThread) -> Mapping[str, Check]:
    """What /readyz asks; each raises or tells what it waits for."""

    async def kubernetes() -> None:
        await api.get(kinds.NAMESPACES, site.settings.namespace)

    async def docker() -> None:
        await here.backend.health()

    async def kopf() -> str | None:
        return None if await operator.responds(OPERATOR_SECONDS) else "it has not started yet, or is stuck"

    return {"api": kubernetes, "docker": docker, "operator": kopf}


async def _start_http(site: Installation, metrics: Metrics, checks: Mapping[str, Check]) -> None:
    listen = site.settings.http_listen
    server = StatusServer(listen.host, listen.port, site.beats, checks, metrics)
    await server.start()
    site.stack.push_async_callback(server.stop)
