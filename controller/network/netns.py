"""Links, addresses and routes inside a container's network namespace.

The namespace is opened once and held by its file descriptor, so that a reused process id cannot lead to another
namespace. Our own namespace (the host's) is refused. Decisions are made in link_plan.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from controller import errors
from controller.api import reasons
from controller.container_root import Process
from controller.network import rtnetlink, setns, snapshot
from controller.network.inside import Inside
from controller.network.link_changes import Change, MoveIn, MoveOut
from controller.network.snapshot import Snapshot

T = TypeVar("T")

_SECONDS = 10.0


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
        return await self.run(Inside.snapshot)

    async def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes inside in order, up to the first failure. Raises errors.Retry(STEP_FAILED)."""
        await self.run(lambda inside: inside.apply(changes))

    async def move_in(self, name: str, temporary: str) -> None:
        """Move a host link into this namespace under the free name ``temporary``; it is down afterwards."""
        # One request: a move under its own name fails if the engine uses that name inside.
        await self.run(lambda inside: inside.apply_on_host(MoveIn(name, temporary)))

    async def move_out(self, name: str, new_name: str) -> None:
        """Move a link from here to the host under this name; it is down afterwards."""
        await self.apply([MoveOut(name, new_name)])

    async def run(self, work: Callable[[Inside], T]) -> T:
        """Return the result of ``work``, done in a thread inside. Raises errors.Retry(STEP_FAILED) for its OSErrors."""
        given_up = threading.Event()

        def done(host: socket.socket) -> T:
            with host:
                return work(Inside(host, given_up.is_set))

        try:
            return await setns.run_inside(self._descriptor, rtnetlink.connect, done, _SECONDS)
        except OSError as error:  # a TimeoutError is one
            raise _failure("configure", self._where, error) from error
        finally:
            # The timeout only ends our waiting: the thread would go on and change links behind our back.
            given_up.set()


async def read(process: Process, on_host: Callable[[], T]) -> tuple[T, Snapshot]:
    """Return what ``on_host`` reads in the host's network, and a snapshot of the process's. Raises errors.Retry.

    In a single thread: starting one and getting its result takes as much CPU as a snapshot.
    """
    try:
        opened, within = partial(_open, process), lambda found: (found, snapshot.take())
        return await setns.run_opened(opened, on_host, within, _SECONDS)
    except OSError as error:
        raise _failure("read", process, error) from error


def _failure(attempt: str, where: Process | Path, error: OSError) -> errors.Retry:
    message = f"Cannot {attempt} the network of {_shown(where)}: {error.strerror or 'the kernel is busy'}"
    return errors.Retry(reasons.STEP_FAILED, message)


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
