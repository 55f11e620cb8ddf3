"""Removing everything of this installation from the engine: containers, then networks, then volumes."""

from __future__ import annotations

from functools import partial
from typing import Any

from controller.backends.docker import labels
from controller.backends.docker.containers import Containers
from controller.backends.docker.engine import Engine
from controller.backends.docker.networks import Networks

_GRACE_SECONDS = 10


async def purge(engine: Engine, containers: Containers, networks: Networks, install_id: str) -> list[str]:
    """Remove all that carries the installation's labels; what was removed, for a person."""
    removed = []
    for identity, entry in await containers.of_install(install_id):
        await engine.call(partial(_end, container=entry["Id"]))
        removed.append(f"container {identity.device_id}")
    removed += [f"network {name}" for name in await networks.remove_all()]
    return removed + [
        f"volume {name}" for name in await engine.call(lambda client: _remove_volumes(client, install_id))
    ]


def _end(client: Any, container: str) -> None:
    client.stop(container, timeout=_GRACE_SECONDS)
    client.remove_container(container, force=True)


def _remove_volumes(client: Any, install_id: str) -> list[str]:
    found = client.volumes(filters=labels.selector(labels.of_install(install_id))).get("Volumes") or []
    for volume in found:
        client.remove_volume(volume["Name"])
    return [volume["Name"] for volume in found]
