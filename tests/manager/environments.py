"""An environment for building roles without starting a controller."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from controller import settings
from controller.backends.docker.engine.lane import LIMITS
from controller.disk import Disk
from controller.machinery.endpoint import Endpoint
from controller.machinery.supervisor import Liveness
from controller.manager.environment import Environment, Nodes
from controller.manager.installation import Installation, Shutdown
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics, Sources
from controller.nodes.link_status import LinkStatus
from controller.nodes.single_node import SingleNode
from controller.state import State
from controller.systemd import Notifier
from tests.support.command_harness import FakeNode

READING = HostReading(10.0, 1 << 30, 8 << 30, 2 << 30, 64 << 30, 3600)


class RetirementInMemory:
    """A retirement store in memory."""

    def __init__(self, retired: bool) -> None:
        self._retired = retired

    async def retired(self) -> bool:
        return self._retired

    async def retire(self) -> None:
        self._retired = True


def environment(folder: Path, api: Any, flags: dict[str, Any], *, retired: bool = False) -> Environment:
    """The environment of a process with these settings; its one node has canned figures."""
    chosen = settings.load({"state_dir": folder, **flags}, {}, None)
    store, endpoint = RetirementInMemory(retired), Endpoint("memory:")
    installation = Installation(chosen, State(folder), Disk(folder), "07048933", "test-node", endpoint, api, store)
    return Environment(
        installation=installation,
        stack=AsyncExitStack(),
        liveness=Liveness(),
        metrics=Metrics("1.2.3", Sources(host=None, containers=dict, runtimes=dict)),
        notifier=Notifier({}),
        link_status=LinkStatus(chosen.cloud_url),
        shutdown=Shutdown(),
        limits=LIMITS,
        nodes=Nodes(SingleNode("test-node", FakeNode(), "Docker"), lambda: READING, lambda _: None),
    )
