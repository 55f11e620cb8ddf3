"""What runs in containers: their first processes, for the metrics, and their output."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from controller import errors
from controller.backends.base import Identity, RunningContainer
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine, url
from controller.backends.docker.engine.streams import payloads
from controller.container_root import Process

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

_MAX_TAIL = 10_000


class Processes:
    """Caches pids as long as the kernel confirms that they belong to their container.

    So the metrics cost one request per start of a container.
    """

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


class Logs:
    """Reads the output of runtimes, as bytes."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def read(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """The last ``tail`` lines (at most 10,000), then new output. Raises errors.NotFoundError."""
        container = await self._containers.current(identity)
        if container is None:
            raise errors.NotFoundError(
                f"the runtime {identity.device_id} has no container", code=404, reason="NotFound"
            )
        # An engine takes a negative tail for all of the output.
        wanted = {"stdout": 1, "stderr": 1, "tail": max(0, min(tail, _MAX_TAIL)), "follow": int(follow)}

        def open_stream(client: APIClient) -> Response:
            address = url(client, f"/containers/{container.id}/logs")
            return client.get(address, params=wanted, stream=True, timeout=(5.0, None if follow else 60.0))

        stream = await self._engine.logs(open_stream)
        # With a TTY the output has no frames (API reference: ContainerAttach).
        return stream if container.document["Config"].get("Tty") else payloads(stream)
