"""Finds the first processes of running containers for the metrics, with one request per start of a container."""

from __future__ import annotations

import asyncio

from controller.backends.base import RunningContainer
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.container_root import Process


class Processes:
    """Caches pids as long as the kernel confirms that they belong to their container."""

    def __init__(self, engine: Engine, containers: Containers, install_id: str) -> None:
        self._engine = engine
        self._containers = containers
        self._install_id = install_id
        self._pids: dict[str, int] = {}

    async def running(self) -> list[RunningContainer]:
        """All running containers of this installation."""
        entries = await self._containers.of_install(self._install_id, status=["running"])
        known = {entry["Id"]: self._pids.get(entry["Id"], 0) for _, entry in entries}
        valid = await asyncio.to_thread(lambda: {name: pid for name, pid in known.items() if Process(pid, name).runs()})
        self._pids = {name: valid.get(name) or await self._ask(name) for name in known}
        found = (RunningContainer(identity, self._pids[entry["Id"]], entry["Id"]) for identity, entry in entries)
        return [container for container in found if container.pid]

    async def _ask(self, container: str) -> int:
        try:
            document = await self._engine.call(lambda client: client.inspect_container(container))
        except failures.Refusal:
            return 0  # it exited meanwhile
        return int(document["State"].get("Pid") or 0)
