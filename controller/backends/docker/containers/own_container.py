"""The container that we run in ourselves, if we do: removed as the last act of an agent that was deleted.

Ours is only a container whose first process we are: one that merely holds us, with other work, is left alone.
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

# Docker binds hostname and resolv.conf of a container from a folder named after it (proc(5): mountinfo).
_FOLDER = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ")


async def remove(url: str, mountinfo: Path = Path("/proc/self/mountinfo"), pid: int | None = None) -> bool:
    """Remove it, which ends this process; False when there is none, or Docker cannot be asked."""
    container = identifier(await asyncio.to_thread(mountinfo.read_text))
    if not container:
        return False
    engine = Engine(url)
    try:
        return await _remove(engine, container, pid or os.getpid())
    except (Refusal, errors.ReconcileError) as error:
        log.warning("Our own container %s is left behind: %s", container[:12], error)
        return False
    finally:
        engine.close()


def identifier(mountinfo: str) -> str:
    """The container that these mounts are of, "" for none."""
    found = _FOLDER.search(mountinfo)
    return found[1] if found else ""


async def _remove(engine: Engine, container: str, pid: int) -> bool:
    # In the host's process namespace, which we need anyway, our number is the one that Docker knows.
    found = await engine.call(lambda client: client.inspect_container(container))
    if found["State"]["Pid"] != pid:
        return False
    await engine.change(lambda client: client.remove_container(container, force=True))
    return True
