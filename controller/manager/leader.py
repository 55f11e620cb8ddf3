"""The leader's work in a cluster: the cloud link, node lifecycle, and scheduling."""

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
"""Starts the leader's roles, which run until the given installation's stack is closed."""


def start(installation: Installation, api: ApiClient, fleet: ClusterNodeDirectory, lead: Lead) -> None:
    """Start taking part in the election."""
    candidate = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    election = Election(api, installation.settings.namespace, names.LEADER_LEASE, candidate)
    installation.supervisor.start(
        "the leader election", partial(election.run, partial(_term, installation, api, fleet, lead))
    )


@asynccontextmanager
async def _term(
    installation: Installation, api: ApiClient, fleet: ClusterNodeDirectory, lead: Lead
) -> AsyncIterator[None]:
    """Run the leader's parts for one term; the link is stopped first."""
    async with AsyncExitStack() as stack:
        own = installation.term(stack)
        stack.push_async_callback(own.supervisor.stop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(fleet.refresh(), FIRST_READING_SECONDS)
        own.supervisor.start("the node directory", fleet.controller.run)
        lifecycle, scheduler = NodeLifecycle(api, installation.settings.namespace), Scheduler(api, fleet)
        own.supervisor.start("the node lifecycle", lifecycle.controller.run)
        own.supervisor.start("the scheduler", scheduler.controller.run)
        own.supervisor.start("the Runtimes without a node", scheduler.follow)
        await lead(own)
        yield
