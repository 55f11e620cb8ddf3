"""Manages this process's cloud link: rebuilds it each time it is opened, and reports its state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from controller.cloud.commands.retirement import RetirementHooks
from controller.cloud.link import Link, LinkState
from controller.machinery.client import ApiClient
from controller.manager import link
from controller.manager.installation import Installation
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics
from controller.node_api.node import NodeDirectory
from controller.nodes import link_status
from controller.nodes.edgenode_status import Cloud
from controller.state import State

log = logging.getLogger(__name__)


class RetirementStore(Protocol):
    """Persistent flag that ``delete_orchestrator`` retired the agent."""

    async def retired(self) -> bool:
        """Return whether the agent is retired."""

    async def retire(self) -> None:
        """Keep the link down from now on."""


class RetirementOnDisk:
    """Stores the retirement of a standalone host."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def retired(self) -> bool:
        """Return whether the agent is retired."""
        return await asyncio.to_thread(lambda: self._state.retired)

    async def retire(self) -> None:
        """Retire the agent."""
        await asyncio.to_thread(self._state.retire)


class CloudLinkManager:
    """``leave`` ends the process once the agent is retired and nothing is left to serve."""

    def __init__(
        self,
        installation: Installation,
        api: ApiClient,
        nodes: NodeDirectory,
        retirement_store: RetirementStore,
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self._installation = installation
        self._api = api
        self._nodes = nodes
        self._retirement_store = retirement_store
        self._leave_process = leave
        self._retired = False
        self._link: Link | None = None

    async def open(
        self,
        installation: Installation,
        metrics: Metrics,
        reading: Callable[[], HostReading],
        on_state: Callable[[LinkState], None],
    ) -> None:
        """Keep the link connected until ``installation``'s stack is closed; do nothing without a cloud or once retired.

        The journal removes old commands in any case.
        """
        self._retired = await self._retirement_store.retired()
        part = self._build(installation)
        installation.supervisor.start("the command journal", part.journal.controller.run)
        if installation.settings.cloud_url and not self._retired:
            self._link = link.start(installation, part, metrics, reading, on_state)
            installation.stack.callback(self._forget)

    def cloud(self) -> Cloud:
        """Return the state of the link."""
        if self._retired:
            return link_status.retired()
        if self._link is None:
            return link_status.without_cloud()
        return link_status.of(self._link.state, self._installation.settings.cloud_url)

    def _build(self, installation: Installation) -> link.LinkPart:
        return link.build(installation, self._api, self._nodes, RetirementHooks(self._retire, self._leave))

    def _forget(self) -> None:
        self._link = None

    async def _retire(self) -> None:
        await self._retirement_store.retire()
        self._retired = True

    async def _leave(self, others_remain: bool) -> None:
        """After delete_orchestrator, keep serving Runtimes of other origins, or end and leave nothing behind."""
        if others_remain or not self._installation.embedded:
            log.info("Retired; the remaining Runtimes and nodes are still served, without the cloud")
            if self._link is not None:
                await self._link.stop()
            return
        log.info("Retired; nothing is left to serve")
        await self._leave_process()
