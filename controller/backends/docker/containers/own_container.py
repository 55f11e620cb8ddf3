"""Removes the container that this process runs in, as the last act of a deleted agent.

Only if this process is the container's first one: a container that also runs something else is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path

from controller import errors
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.failures import Refusal

log = logging.getLogger(__name__)

# Docker bind-mounts hostname and resolv.conf from a directory named after the container (proc(5): mountinfo).
_FOLDER = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ")


async def remove(url: str, mountinfo: Path = Path("/proc/self/mountinfo"), pid: int | None = None) -> bool:
    """Remove it, which ends this process; False when there is none, or Docker cannot be reached."""
    container = identifier(await asyncio.to_thread(mountinfo.read_text))
    if not container:
        return False
    engine = Engine(url)
    try:
        return await _remove(engine, container, pid or os.getpid())
    except (Refusal, errors.ReconcileError) as error:
        log.warning("Failed to remove our own container %s: %s", container[:12], error)
        return False
    finally:
        engine.close()


def identifier(mountinfo: str) -> str:
    """The id of the container with these mounts, "" for none."""
    found = _FOLDER.search(mountinfo)
    return found[1] if found else ""


async def _remove(engine: Engine, container: str, pid: int) -> bool:
    # We run in the host's pid namespace (needed anyway), so our pid is the one that Docker reports.
    found = await engine.call(lambda client: client.inspect_container(container))
    if found["State"]["Pid"] != pid:
        return False
    await engine.change(lambda client: client.remove_container(container, force=True))
    return True
