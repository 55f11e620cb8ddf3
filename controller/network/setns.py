"""Work inside the network namespace of another process, and filters on packet sockets (setns(2), packet(7)).

Everything here blocks briefly: call it in a thread. See netns.py for what is done with iproute2.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from controller.container_root import Process

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SO_ATTACH_FILTER = 26

Instruction = tuple[int, int, int, int]
"""A classic BPF instruction: code, jump if true, jump if false, operand (kernel: networking/filter)."""


def inside(process: Process, work: Callable[[], T]) -> T:
    """Return the result of ``work`` run in a container's namespace. Raises its exceptions, and OSError.

    It runs in a thread of its own, because a thread that has changed its namespace cannot be reused.
    """
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            _enter(process)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - re-raised in the calling thread
            problems.append(error)

    thread = threading.Thread(target=run, name="network namespace")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


def attach_filter(packets: socket.socket, program: Sequence[Instruction]) -> None:
    """Attach a filter to the socket so that only matching packets arrive; replaces any previous filter."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    # The kernel copies the program during the call; native alignment is that of struct sock_fprog.
    buffer = ctypes.create_string_buffer(code)
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def _enter(process: Process) -> None:
    """Move this thread into the namespace. Raises OSError, also when the namespace is the host's."""
    descriptor = process.network()
    try:
        if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
            raise OSError(0, f"process {process.pid} is in the host's network")
        # os.setns needs Python 3.12.
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot enter the network namespace")
    finally:
        os.close(descriptor)
