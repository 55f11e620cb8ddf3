"""Work inside the network namespace of another process, and filters on packet sockets (setns(2), packet(7)).

Everything here blocks briefly: call it in a thread. See netns.py for what is done to links.
"""

from __future__ import annotations

import _thread
import asyncio
import ctypes
import errno
import functools
import os
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from controller.container_root import Process

S = TypeVar("S")
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SO_ATTACH_FILTER = 26

Instruction = tuple[int, int, int, int]
"""A classic BPF instruction: code, jump if true, jump if false, operand (kernel: networking/filter)."""


def inside(process: Process, work: Callable[[], T]) -> T:
    """Return the result of ``work`` run in a container's namespace. Raises its exceptions, and OSError.

    It runs in a thread of its own, because a thread that has changed its namespace cannot be reused.
    """
    return _begun_inside(process, work).result()


async def entered(process: Process, work: Callable[[], T], seconds: float) -> T:
    """Return the same without blocking. Raises TimeoutError, too, after ``seconds``, while the thread continues."""
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(_begun_inside(process, work))


async def run_inside(descriptor: int, outside: Callable[[], S], work: Callable[[S], T], seconds: float) -> T:
    """Return the result of ``work`` run in the namespace that the descriptor holds, and must not be the host's.

    It gets the result of ``outside``, which its thread runs before it enters. Raises the exceptions of both, OSError,
    and TimeoutError after ``seconds``, while the thread continues.
    """
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(_begun_with_own(descriptor, outside, work))


async def run_opened(opened: Callable[[], int], outside: Callable[[], S], work: Callable[[S], T], seconds: float) -> T:
    """Do the same in the namespace whose descriptor ``opened`` returns; the thread calls it first, and closes that."""
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(_begun(opened, outside, work))


def attach_filter(packets: socket.socket, program: Sequence[Instruction]) -> None:
    """Attach a filter to the socket so that only matching packets arrive; replaces any previous filter."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    # The kernel copies the program during the call; native alignment is that of struct sock_fprog.
    buffer = ctypes.create_string_buffer(code)
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def _begun_inside(process: Process, work: Callable[[], T]) -> Future[T]:
    return _begun(partial(_opened, process), lambda: None, lambda _: work())


def _opened(process: Process) -> int:
    """A descriptor of the process's namespace, which is not the host's. Raises OSError."""
    descriptor = process.network()
    if os.fstat(descriptor).st_ino != os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
        return descriptor
    os.close(descriptor)
    raise OSError(0, f"process {process.pid} is in the host's network")


def _begun_with_own(descriptor: int, outside: Callable[[], S], work: Callable[[S], T]) -> Future[T]:
    """Begin the work with a descriptor of its own: the caller may give up and close its one."""
    own = os.dup(descriptor)
    try:
        return _begun(lambda: own, outside, work)
    except OSError:
        os.close(own)
        raise


def _begun(opened: Callable[[], int], outside: Callable[[], S], work: Callable[[S], T]) -> Future[T]:
    """Begin the work in a new thread."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # so that a caller that gives up cannot cancel what runs
    try:
        # Not threading.Thread, whose start waits for the thread's first turn: on a busy host the event loop would stand
        # still for milliseconds.
        _thread.start_new_thread(_fulfil, (done, opened, outside, work))
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no thread can be started") from error
    return done


def _fulfil(done: Future[T], opened: Callable[[], int], outside: Callable[[], S], work: Callable[[S], T]) -> None:
    try:
        descriptor = opened()
        try:
            brought = outside()
            _enter(descriptor)
        finally:
            os.close(descriptor)
        result = work(brought)
    except BaseException as error:  # noqa: BLE001 - re-raised in the caller
        done.set_exception(error)
    else:
        done.set_result(result)
    finally:
        del done  # an error holds this frame, and would keep itself


def _enter(descriptor: int) -> None:
    """Move this thread into the namespace. Raises OSError."""
    if _setns()(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


@functools.cache
def _setns() -> Callable[[int, int], int]:
    """The system call; os.setns needs Python 3.12. Each CDLL is a class, freed only by a collection of garbage."""
    found: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).setns
    return found
