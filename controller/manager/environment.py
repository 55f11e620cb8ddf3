"""What every role is built from: the installation, and what all roles of this process share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.backends.docker.engine.lane import EngineLimits
from controller.machinery.supervisor import Liveness
from controller.manager.installation import Installation, Shutdown
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics
from controller.node_api.node import NodeDirectory
from controller.nodes.link_status import LinkStatus
from controller.systemd import Notifier

Run = Callable[[], Awaitable[None]]
"""A loop that runs until it is cancelled, or the stop of one."""


class Nodes(NamedTuple):
    """The nodes that the cloud's commands query; ``reading`` is their sum, for the heartbeat.

    ``changed`` tells them of a Runtime that this process has just written: they need not wait for their watch of it.
    """

    directory: NodeDirectory
    reading: Callable[[], HostReading]
    changed: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Environment:
    """The argument of every role. ``stack`` closes what the role opens, after its controllers have ended.

    ``nodes`` comes from an earlier role: this host, or the nodes of the cluster.
    """

    installation: Installation
    stack: AsyncExitStack
    liveness: Liveness
    metrics: Metrics
    notifier: Notifier
    link_status: LinkStatus
    shutdown: Shutdown
    limits: EngineLimits
    nodes: Nodes | None = None

    def beat(self, name: str, within: float) -> Callable[[], None]:
        """Return the function that the loop ``name`` calls every ``within`` seconds, until the stack is closed."""
        # Without this, the loops of a former leader would count as stuck, and the watchdog would end the process.
        self.stack.callback(self.liveness.forget, name)
        return self.liveness.expect(name, within)
