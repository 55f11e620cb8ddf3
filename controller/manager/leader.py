"""What only one process of all does in a cluster: the link, the watch over nodes, giving Runtimes their node."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from controller import names
from controller.machinery.client import ApiClient
from controller.machinery.leader_election import Election
from controller.manager.installation import Installation
from controller.nodes.cluster.directory import ClusterNodeDirectory
from controller.nodes.cluster.node_lifecycle import NodeLifecycle
from controller.nodes.cluster.scheduler import Scheduler

FIRST_READING_SECONDS = 1.0

Lead = Callable[[Installation], Awaitable[None]]
"""Does what the roles ask of a leader, for as long as the given installation's stack is open."""


def start(site: Installation, api: ApiClient, fleet: ClusterNodeDirectory, lead: Lead) -> None:
    """Stand for election from now on."""
    candidate = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    election = Election(api, site.settings.namespace, names.LEADER_LEASE, candidate)
    site.supervisor.start("the election", partial(election.run, partial(_term, site, api, fleet, lead)))


@asynccontextmanager
async def _term(site: Installation, api: ApiClient, fleet: ClusterNodeDirectory, lead: Lead) -> AsyncIterator[None]:
    """The parts of a leader, until it leads no longer; the link ends first."""
    async with AsyncExitStack() as stack:
        own = site.term(stack)
        stack.push_async_callback(own.supervisor.stop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(fleet.read(), FIRST_READING_SECONDS)
        own.supervisor.start("the figures of all nodes", fleet.run)
        own.supervisor.start("the watch over the nodes", NodeLifecycle(api, site.settings.namespace).run)
        own.supervisor.start("the assignment of Runtimes", Scheduler(api, fleet).run)
        await lead(own)
        yield
