"""Builds the leader role: what one process of a cluster does for all its nodes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

from controller.manager.environment import Environment
from controller.nodes.cluster.cloud_status_publisher import CloudStatusPublisher
from controller.nodes.cluster.directory import ClusterNodeDirectory
from controller.nodes.cluster.node_lifecycle import NodeLifecycle
from controller.nodes.cluster.scheduler import Scheduler

FIRST_READING_SECONDS = 1.0


class Leader(NamedTuple):
    """The parts of the role; roles.py lists those that run."""

    directory: ClusterNodeDirectory
    lifecycle: NodeLifecycle
    scheduler: Scheduler


async def build(environment: Environment) -> Leader:
    """Build the role, with a first reading of the nodes."""
    api, settings = environment.installation.api, environment.installation.settings
    directory = ClusterNodeDirectory(api, settings.node_token, pods="pods" in settings.roles)
    environment.stack.push_async_callback(directory.close)
    # The first heartbeat needs the sums of the nodes, but a node that does not answer must not delay the link.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_READING_SECONDS):
            await directory.refresh()
    scheduler = Scheduler(api, directory, settings.served_namespaces)
    return Leader(directory, NodeLifecycle(api, settings.namespace), scheduler)


def cloud_status_publisher(environment: Environment) -> CloudStatusPublisher:
    """Return what publishes the state of the link in a cluster."""
    publisher = CloudStatusPublisher(environment.installation.api, environment.link_status.current)
    environment.link_status.on_change(publisher.controller.trigger)
    return publisher
