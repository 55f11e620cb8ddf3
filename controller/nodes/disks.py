"""Monitors the disks of a node that must not fill up: that of the state, and that of Docker's images and containers.

The engine is asked only for the location of its disk. A check is one system call in a thread, so it finds a full disk
even while the engine hangs, or cannot start because of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controller import errors
from controller.disk import REMEDY, Disk, on_host
from controller.machinery.controller import Controller
from controller.workers import Workers

STATE, DOCKER = "state", "docker"
DEFAULT_ROOT = Path("/var/lib/docker")  # dockerd's default, until it names another directory
CHECK_SECONDS = 5.0
LOCATE_SECONDS = 60.0


def of_docker() -> Disk:
    """The disk of Docker, at its default location."""
    return Disk(
        DEFAULT_ROOT,
        on_host,
        whose="Docker",
        meanwhile="Docker cannot start containers or pull images",
        remedy=f"running runtimes continue, but Docker can start none: {REMEDY}",
    )


@dataclass(frozen=True)
class Disks:
    """``state`` is the disk of EDGE_STATE_DIR."""

    state: Disk
    docker: Disk

    def faults(self) -> dict[str, str]:
        """The faults by disk (STATE, DOCKER), "" while there is room; omits a disk that is not visible from here."""
        return {name: disk.fault for name, disk in ((STATE, self.state), (DOCKER, self.docker)) if disk.visible}


async def watch(disk: Disk, changed: Callable[[], None]) -> None:
    """Check the disk periodically; call ``changed`` when it fills up and when it has room again."""
    thread = Workers(1, "disk")  # a daemon thread of its own, so that a hanging disk does not block the process's exit

    async def check() -> None:
        before = disk.fault
        if bool(await thread.run(disk.check)) != bool(before):
            changed()

    try:
        await Controller("check a disk", check, period=CHECK_SECONDS).run()
    finally:
        thread.close()


async def locate(disk: Disk, root: Callable[[], Awaitable[str]]) -> None:
    """Set the disk's directory to ``root()``, the engine's answer; keep the last one if the engine does not answer."""
    with contextlib.suppress(errors.ReconcileError):
        if (found := await root()).startswith("/"):
            disk.directory = Path(found)


async def follow(disk: Disk, root: Callable[[], Awaitable[str]]) -> None:
    """Locate the disk periodically: the engine may be restarted with another directory."""
    await Controller("locate a disk", partial(locate, disk, root), period=LOCATE_SECONDS).run()
