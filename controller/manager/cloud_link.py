"""The link of this process as it comes and goes: built anew each time it is opened, and what others ask of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from controller.cloud.commands.retirement import Departure
from controller.cloud.link import Link, LinkState
from controller.cloud.node import NodeDirectory
from controller.machinery.client import ApiClient
from controller.manager import link
from controller.manager.installation import Installation
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics
from controller.nodes import link_status
from controller.nodes.edgenode_status import Cloud
from controller.state import State

log = logging.getLogger(__name__)


class Marker(Protocol):
    """Where it is kept that ``delete_orchestrator`` retired the agent; outlives the process."""

    async def retired(self) -> bool:
        """Whether it did."""

    async def retire(self) -> None:
        """Keep the link down from now on."""


class MarkerOnDisk:
    """The marker of a host of its own."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def retired(self) -> bool:
        """Whether the agent is retired."""
        return await asyncio.to_thread(lambda: self._state.retired)

    async def retire(self) -> None:
        """Retire it."""
        await asyncio.to_thread(self._state.retire)


class CloudLinkManager:
    """``leave`` ends the process after the agent was retired and nothing is left to serve."""

    def __init__(
        self,
        site: Installation,
        api: ApiClient,
        nodes: NodeDirectory,
        marker: Marker,
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self._site = site
        self._api = api
        self._nodes = nodes
        self._marker = marker
        self._leave_process = leave
        self._retired = False
        self._link: Link | None = None

    def topics(self) -> Sequence[str]:
        """What the cloud may ask for."""
        return [topic.name for topic in self._build(self._site).topics]

    async def open(
        self,
        site: Installation,
        metrics: Metrics,
        reading: Callable[[], HostReading],
        on_state: Callable[[LinkState], None],
    ) -> None:
        """Connect, until ``site``'s stack is closed; not at all without a cloud, or once retired.

        Old commands are removed in any case.
        """
        self._retired = await self._marker.retired()
        part = self._build(site)
        site.supervisor.start("the journal of commands", part.journal.run)
        if site.settings.cloud_url and not self._retired:
            self._link = link.start(site, part, metrics, reading, on_state)
            site.stack.callback(self._forget)

    def cloud(self) -> Cloud:
        """How the link stands."""
        if self._retired:
            return link_status.retired()
        if self._link is None:
            return link_status.without_cloud()
        return link_status.of(self._link.state, self._site.settings.cloud_url)

    def _build(self, site: Installation) -> link.LinkPart:
        return link.build(site, self._api, self._nodes, Departure(self._retire, self._leave))

    def _forget(self) -> None:
        self._link = None

    async def _retire(self) -> None:
        await self._marker.retire()
        self._retired = True

    async def _leave(self, others_remain: bool) -> None:
        """After delete_orchestrator: serve on for the Runtimes of others, or end and leave nothing behind."""
        if others_remain or not self._site.embedded:
            log.info("Retired; Runtimes of others and nodes are served on without the cloud")
            if self._link is not None:
                await self._link.stop()
            return
        log.info("Retired; nothing is left to serve")
        await self._leave_process()
