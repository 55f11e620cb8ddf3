"""Reads the output of runtimes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from controller import errors
from controller.backends.base import Identity
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine.client import Engine, url
from controller.backends.docker.engine.streams import payloads

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

_MAX_TAIL = 10_000


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
        wanted = {"stdout": 1, "stderr": 1, "tail": max(0, min(tail, _MAX_TAIL)), "follow": int(follow)}

        def open_stream(client: APIClient) -> Response:
            address = url(client, f"/containers/{container.id}/logs")
            return client.get(address, params=wanted, stream=True, timeout=(5.0, None if follow else 60.0))

        stream = await self._engine.logs(open_stream)
        return stream if container.document["Config"].get("Tty") else payloads(stream)
