"""Builds the link role: the cloud's commands, the heartbeat, and the end of both with delete_orchestrator."""

from __future__ import annotations

import logging
import time
from functools import partial

from controller.cloud import topics
from controller.cloud.commands.command import DigestKey
from controller.cloud.commands.devices import Devices
from controller.cloud.commands.executor import Executor
from controller.cloud.commands.forwarding import Reads
from controller.cloud.commands.journal import Journal
from controller.cloud.commands.retirement import Retirement, RetirementHooks
from controller.cloud.commands.specs import Blueprint
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.heartbeat import Heartbeat
from controller.cloud.identity import Identity
from controller.cloud.link import Link, LinkState
from controller.manager.environment import Environment, Nodes
from controller.metrics import host

log = logging.getLogger(__name__)


class CloudLink:
    """The parts of the role. There is no link without a cloud, or once the agent is ``retired``."""

    def __init__(self, environment: Environment, nodes: Nodes, *, retired: bool) -> None:
        installation, settings = environment.installation, environment.installation.settings
        self._environment = environment
        self._nodes = nodes
        self._connected = False
        # The key is read with the first command: at the start, the file may not exist yet.
        load_key = partial(DigestKey.load, settings.client_key)
        self.journal = Journal(installation.api, settings.namespace, load_key, changed=nodes.changed)
        self._executor = Executor(self.journal, settings.command_seconds)
        self.retirement = Retirement(installation.api, self.journal, RetirementHooks(self._retire, self._shut_down))
        # After the parts above, which _link() uses.
        self.link = self._link() if settings.cloud_url and not retired else None
        environment.link_status.retired = retired
        if self.link:
            environment.link_status.observe(self.link.state)

    async def stop(self) -> None:
        """Stop the link before the commands, so that no more of them arrive."""
        if self.link:
            await self.link.stop()
        await self.retirement.stop()
        await self._executor.stop()

    def _link(self) -> Link:
        settings, metrics = self._environment.installation.settings, self._environment.metrics
        return Link(
            settings.cloud_url,
            # Loaded for each connection, so that a missing or renewed certificate needs no restart of the controller.
            partial(Identity.load, settings.client_cert, settings.client_key, settings.cloud_ca),
            Dispatcher(topics.table(self._commands()), self._executor, settings.contracts, metrics.observe_command),
            Heartbeat(
                lambda agent_id: host.heartbeat(agent_id, self._nodes.reading(), time.time()),
                settings.heartbeat_seconds,
                metrics.heartbeat_sent,
            ),
            self._observe,
        )

    def _commands(self) -> topics.Commands:
        installation, settings = self._environment.installation, self._environment.installation.settings
        return topics.Commands.build(
            installation.api,
            Devices(installation.api, settings.namespace, settings.served_namespaces),
            self._nodes.directory,
            self.retirement,
            Blueprint(
                namespace=settings.namespace,
                image=settings.runtime_image,
                version=settings.runtime_version,
                template=settings.runtime_template,
            ),
            Reads(settings.runtime_reads),
            settings.command_seconds,
        )

    def _observe(self, state: LinkState) -> None:
        # The state also changes with each failed attempt, which must not count as a connection that went down.
        if state.connected != self._connected:
            self._connected = state.connected
            self._environment.metrics.cloud_connected(state.connected)
            self._environment.notifier.status(
                "connected to the cloud" if state.connected else "the link to the cloud is down"
            )
        self._environment.link_status.observe(state)

    async def _retire(self) -> None:
        await self._environment.installation.retirement_store.retire()
        self._environment.link_status.retired = True

    async def _shut_down(self, others_remain: bool) -> None:
        """After delete_orchestrator, keep serving Runtimes of other origins, or end and leave nothing behind."""
        # In a cluster the process keeps running: its Deployment would only start it again.
        if not others_remain and self._environment.installation.embedded:
            log.info("Retired; nothing is left to serve")
            self._environment.shutdown.request(forget=True)
            return
        log.info("Retired; the remaining Runtimes and nodes are still served, without the cloud")
        if self.link:
            await self.link.stop()


async def build(environment: Environment) -> CloudLink:
    """Build the role on the nodes of an earlier one. Raises errors.ApiError if the retirement cannot be read."""
    if environment.nodes is None:
        raise RuntimeError("the link needs nodes: a role before it has to provide them")
    retired = await environment.installation.retirement_store.retired()
    return CloudLink(environment, environment.nodes, retired=retired)
