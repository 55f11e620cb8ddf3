"""Lists and removes every object of an installation on the engine: containers, then networks, then volumes.

As the last act of a deleted agent, removes the container that this process runs in.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from controller import errors
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.networking.networks import Networks
from controller.network.parents import Parents

_GRACE_SECONDS = 10
# Docker bind-mounts hostname and resolv.conf from a directory named after the container (proc(5): mountinfo).
_FOLDER = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ")

log = logging.getLogger(__name__)


class Purge:
    """Touches only objects with the installation's labels. Includes volumes, which hold user data, only on request."""

    def __init__(
        self, engine: Engine, containers: Containers, networks: Networks, parents: Parents, install_id: str
    ) -> None:
        self._engine = engine
        self._containers = containers
        self._networks = networks
        self._parents = parents
        self._install_id = install_id

    async def list_objects(self, *, volumes: bool) -> list[str]:
        """Describe every object."""
        containers = await self._containers.of_install(self._install_id)
        found = [f"container {entry['Names'][0].lstrip('/')}" for _, entry in containers]
        found += [f"network {name}" for name in await self._networks.of_install()]
        found += [f"interface {name}" for name in await self._parents.ours()]
        return found + [f"volume {name}" for name in (await self._volumes() if volumes else [])]

    async def run(self, *, volumes: bool) -> list[str]:
        """Remove every object; return descriptions of what was removed."""
        removed = []
        for identity, entry in await self._containers.of_install(self._install_id):
            await self._end(entry["Id"])
            removed.append(f"container {identity.device_id}")
        removed += [f"network {name}" for name in await self._networks.remove_all()]
        # After the networks, whose macvlan links are built on these VLANs.
        removed += [f"interface {name}" for name in await self._parents.remove_unused()]
        for name in await self._volumes() if volumes else []:
            await self._engine.change(partial(_remove_volume, name=name))
            removed.append(f"volume {name}")
        return removed

    async def _end(self, container: str) -> None:
        found = await self._engine.call(lambda client: client.inspect_container(container))
        await self._engine.stop(container, found["Config"].get("StopTimeout") or _GRACE_SECONDS)
        await self._engine.change(lambda client: client.remove_container(container, force=True))

    async def _volumes(self) -> list[str]:
        wanted = labels.selector(labels.of_install(self._install_id))
        found: dict[str, Any] = await self._engine.call(lambda client: client.volumes(filters=wanted))
        return [volume["Name"] for volume in found.get("Volumes") or []]


def _remove_volume(client: Any, name: str) -> None:
    client.remove_volume(name)


async def remove_own_container(
    url: str, mountinfo: Path = Path("/proc/self/mountinfo"), pid: int | None = None
) -> bool:
    """Remove the container whose first process this is, which ends it; False for none, or without Docker.

    A container that also runs something else is left alone.
    """
    container = own_container(await asyncio.to_thread(mountinfo.read_text))
    if not container:
        return False
    engine = Engine(url)
    try:
        return await _remove_own(engine, container, pid or os.getpid())
    except (Refusal, errors.ReconcileError) as error:
        log.warning("Failed to remove our own container %s: %s", container[:12], error)
        return False
    finally:
        engine.close()


def own_container(mountinfo: str) -> str:
    """The id of the container with these mounts, "" for none."""
    found = _FOLDER.search(mountinfo)
    return found[1] if found else ""


async def _remove_own(engine: Engine, container: str, pid: int) -> bool:
    # We run in the host's pid namespace (needed anyway), so our pid is the one that Docker reports.
    found = await engine.call(lambda client: client.inspect_container(container))
    if found["State"]["Pid"] != pid:
        return False
    await engine.change(lambda client: client.remove_container(container, force=True))
    return True
