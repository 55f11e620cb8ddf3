"""The disks of a node that must not fill up: the one of the state, and the one of Docker's images and containers.

The engine is asked only where its disk is. Looking is one system call in a thread, so a disk that fills up is found
while the engine hangs, or cannot start because of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from controller import errors
from controller.disk import REMEDY, Disk, on_host
from controller.workers import Workers

STATE, DOCKER = "state", "docker"
DEFAULT_ROOT = Path("/var/lib/docker")  # dockerd's, until it names another one
LOOK_SECONDS = 5.0
ASK_SECONDS = 60.0


def of_docker() -> Disk:
    """The disk of Docker, at its default place."""
    return Disk(
        DEFAULT_ROOT,
        on_host,
        whose="Docker",
        meanwhile="Docker starts and pulls nothing",
        remedy=f"runtimes run on, but Docker can start none: {REMEDY}",
    )


@dataclass(frozen=True)
class Disks:
    """``state`` is the disk of EDGE_STATE_DIR."""

    state: Disk
    docker: Disk

    def faults(self) -> dict[str, str]:
        """What is full, "" while there is room, by STATE and DOCKER; without a disk that cannot be seen from here."""
        return {name: disk.fault for name, disk in ((STATE, self.state), (DOCKER, self.docker)) if disk.visible}


async def watch(disk: Disk, changed: Callable[[], None]) -> None:
    """Look again and again; whoever shows the disk's state is called when it fills up and when it has room."""
    thread = Workers(1, "disk")  # of its own: a disk that hangs must not keep the process from ending
    try:
        while True:
            before = disk.fault
            if bool(await thread.run(disk.look)) != bool(before):
                changed()
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        thread.close()


async def locate(disk: Disk, root: Callable[[], Awaitable[str]]) -> None:
    """Have the disk be where ``root`` says; it asks the engine, and raises errors.ReconcileError without an answer."""
    with contextlib.suppress(errors.ReconcileError):  # what it said last holds
        if (found := await root()).startswith("/"):
            disk.directory = Path(found)


async def follow(disk: Disk, root: Callable[[], Awaitable[str]]) -> None:
    """Locate it again and again: the engine may be started with another folder."""
    while True:
        await asyncio.sleep(ASK_SECONDS)
        await locate(disk, root)
