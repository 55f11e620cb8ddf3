"""Links, addresses and routes inside a container's network namespace, changed with iproute2.

The namespace is opened once and held by its file descriptor, so that a reused process id cannot lead to another
namespace. Our own namespace (the host's) is refused. Decisions are made in link_plan.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from controller import errors
from controller.api import reasons
from controller.container_root import Process
from controller.network import commands, setns, snapshot
from controller.network.snapshot import Snapshot

_IP = ("ip", "-batch", "-")
_SNAPSHOT_SECONDS = 10.0

Command = tuple[str, ...]
"""Arguments of one ``ip`` command; none contains a space or a line break."""


class Namespace:
    """The network namespace of a process or of a mount, held open; an async context manager.

    Raises errors.Retry(STEP_FAILED) when it is gone or is the host's.
    """

    def __init__(self, where: Process | Path) -> None:
        self._where = where
        self._descriptor = -1

    async def __aenter__(self) -> Namespace:
        self._descriptor = await asyncio.to_thread(_open, self._where)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    async def snapshot(self) -> Snapshot:
        """Return the links with their IPv4 addresses, and the default routes. Raises errors.Retry(STEP_FAILED)."""
        try:
            return await setns.run_inside(self._descriptor, snapshot.take, _SNAPSHOT_SECONDS)
        except OSError as error:  # a TimeoutError is one
            message = f"Cannot read the network of {_shown(self._where)}: {error.strerror or 'the kernel is busy'}"
            raise errors.Retry(reasons.STEP_FAILED, message) from error

    async def apply(self, commands: Sequence[Command]) -> None:
        """Run the commands inside in order, stopping at the first failure."""
        if commands:
            await self._ip("".join(f"{' '.join(command)}\n" for command in commands), inside=True)

    async def add_macvlan(self, name: str, parent: str, mac_address: str) -> None:
        """Create a macvlan link on the host's ``parent``, directly in this namespace."""
        # Created inside at once: a crash between creation and move would leave it on the host.
        where = f"link add name {name} link {parent} netns {self._path} address {mac_address}"
        await self._ip(f"{where} type macvlan mode bridge\n", inside=False)

    async def move_in(self, name: str, temporary: str) -> None:
        """Move a host link into this namespace under the free name ``temporary``; it is down afterwards."""
        # One command: a move under its own name fails if the engine uses that name inside.
        await self._ip(f"link set dev {name} netns {self._path} name {temporary}\n", inside=False)

    async def move_out(self, name: str, new_name: str) -> None:
        """Move a link from here to the host under this name; it is down afterwards."""
        # nsenter changes only the network namespace, so /proc still shows our process, and with it the host's network.
        await self._ip(f"link set dev {name} netns /proc/{os.getpid()}/ns/net name {new_name}\n", inside=True)

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    async def _ip(self, batch: str, *, inside: bool) -> None:
        enter = ["nsenter", f"--net={self._path}"] if inside else []
        # The programs open the path in their own process, so they must inherit the descriptor.
        await commands.run([*enter, *_IP], batch, [self._descriptor])


def _open(where: Process | Path) -> int:
    shown = _shown(where)
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC) if isinstance(where, Path) else where.network()
    except OSError as error:
        raise errors.Retry(
            reasons.STEP_FAILED, f"Cannot enter the network namespace of {shown}: {error.strerror}"
        ) from error
    if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
        os.close(descriptor)
        raise errors.Retry(reasons.STEP_FAILED, f"The network of {shown} is the host's network, not a container's")
    return descriptor


def _shown(where: Process | Path) -> str:
    return str(where) if isinstance(where, Path) else f"process {where.pid}"
