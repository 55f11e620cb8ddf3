"""The table of roles: what a process runs for EDGE_ROLES. To add a role: add a row here and a module that builds it.

A standalone process has all roles of the table that it can have. In a cluster the roles that may run only once run in
one process at a time, the leader. The module of a role is imported only where the role runs.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from controller import names
from controller.disk import Disk
from controller.machinery.supervisor import Supervisor
from controller.manager.environment import Environment, Nodes, Run
from controller.metrics.server import Check
from controller.nodes.single_node import SingleNode
from controller.settings import Settings

Lifetime = Literal["process", "term"]  # a term as leader


@dataclass(frozen=True)
class Part:
    """What a role runs, once it is built. ``controllers`` are loops by name, for the log.

    ``checks`` are the readiness checks. ``stop`` is awaited before the controllers are cancelled. ``nodes`` are for the
    roles below it in the table.
    """

    controllers: Mapping[str, Run]
    checks: Mapping[str, Check] = field(default_factory=dict)
    stop: Run | None = None
    nodes: Nodes | None = None


class Role(NamedTuple):
    """One row. ``standalone`` and ``cluster`` say how long the role runs there; None: never.

    ``module`` is imported before ``build``, in a thread, so that the API answers meanwhile.
    """

    name: str
    build: Callable[[Environment], Awaitable[Part]]
    standalone: Lifetime | None
    cluster: Lifetime | None
    module: str = __name__


async def _node(environment: Environment) -> Part:
    """Docker, kopf and the usage of the host."""
    from controller.manager import node  # noqa: PLC0415 - see the module's docstring

    made = await node.build(environment)
    host, operator = made.host, made.operator
    return Part(
        controllers={
            "the address guard": host.guard.controller.run,
            "the metrics sampler": host.sampler.controller.run,
            "the metrics archive": host.history.controller.run,
            "the container tracker": made.tracker.controller.run,
            **made.cluster_controllers,
            **operator.controllers,
            **made.event_sources,
            "the EdgeNode": made.edge_node.controller.run,
            "the disk watch": made.watch_state_disk,
            "the watch of Docker's disk": made.watch_docker_disk,
            "the location of Docker's disk": made.follow_docker_disk,
        },
        checks={
            "docker": made.check_docker,
            "operator": operator.check,
            "disk": _has_room(made.disks.state),
            # It makes the node unready, but restarts nothing: watchdog, health check and probes use /healthz.
            "docker-disk": _has_room(made.disks.docker),
        },
        stop=operator.stop,
        nodes=Nodes(
            SingleNode(environment.installation.node_name, host.local, "Docker"), host.reading, operator.changed
        ),
    )


async def _leader(environment: Environment) -> Part:
    """The duties of a cluster's leader, whichever other roles it has."""
    from controller.manager import leader  # noqa: PLC0415 - see the module's docstring

    made = await leader.build(environment)
    return Part(
        controllers={
            "the node directory": made.directory.controller.run,
            "the node lifecycle": made.lifecycle.controller.run,
            "the scheduler": made.scheduler.controller.run,
            "the Runtimes without a node": made.scheduler.follow,
        },
        # Another process runs the Runtimes.
        nodes=Nodes(made.directory, lambda: made.directory.reading.host, lambda _: None),
    )


async def _pods(environment: Environment) -> Part:
    """The runtimes that are pods; needs kopf."""
    from controller.manager import pods  # noqa: PLC0415 - see the module's docstring

    made = pods.build(environment)
    return Part(
        controllers={**made.operator.controllers, "the pod events": made.follow_pods},
        stop=made.operator.stop,
    )


async def _link(environment: Environment) -> Part:
    """The cloud link; needs the nodes of a role above."""
    from controller.manager import link  # noqa: PLC0415 - see the module's docstring

    made = await link.build(environment)
    controllers: dict[str, Run] = {"the command journal": made.journal.controller.run}
    if made.link:
        controllers |= {"the orchestrator's deletion": made.retirement.resume, "the cloud link": made.link.run}
    # On a standalone host the node role publishes the state of the link in its EdgeNode.
    if not environment.installation.embedded:
        from controller.manager import leader  # noqa: PLC0415 - see the module's docstring

        publisher = leader.cloud_status_publisher(environment)
        controllers["the cloud status publisher"] = publisher.controller.run
    return Part(controllers, stop=made.stop)


# It comes with every other role of a term.
LEADER = Role("leader", _leader, standalone=None, cluster="term", module="controller.manager.leader")
TABLE = (
    Role("node", _node, standalone="process", cluster="process", module="controller.manager.node"),
    Role("pods", _pods, standalone=None, cluster="term", module="controller.manager.pods"),
    Role("link", _link, standalone="process", cluster="term", module="controller.manager.link"),
)


def chosen(settings: Settings, lifetime: Lifetime) -> Sequence[Role]:
    """Return the rows that run for a process or for a term as leader, in the order of their start."""
    standalone = settings.api == "embedded"
    rows = [row for row in TABLE if row.name in settings.roles]
    rows = [row for row in rows if lifetime == (row.standalone if standalone else row.cluster)]
    # The leader first, as the link gets its nodes from a role before it.
    return [LEADER, *rows] if rows and lifetime == "term" else rows


async def start(rows: Iterable[Role], environment: Environment) -> Mapping[str, Check]:
    """Build all roles, then start their controllers, until ``environment.stack`` is closed; return the checks."""
    # Build all before any loop runs: a role that cannot be built fails the start before another one has acted.
    parts: list[Part] = []
    for row in rows:
        await asyncio.to_thread(importlib.import_module, row.module)
        parts.append(await row.build(environment))
        environment = replace(environment, nodes=parts[-1].nodes or environment.nodes)
    supervisor = Supervisor()
    # The stack is closed in reverse: each part's stop, the last role's first, then the loops, then what roles opened.
    environment.stack.push_async_callback(supervisor.stop)
    for part in parts:
        if part.stop:
            environment.stack.push_async_callback(part.stop)
        for name, run in part.controllers.items():
            supervisor.start(name, run)
    return {name: check for part in parts for name, check in part.checks.items()}


def _has_room(disk: Disk) -> Check:
    async def check() -> str | None:
        return f"{names.DISK_FULL}: {disk.fault}" if disk.fault else None

    return check
