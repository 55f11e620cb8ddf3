"""Work inside the network namespace of another process, and filters on packet sockets (setns(2), packet(7)).

Everything here blocks shortly and is for a thread. See namespace.py for what iproute2 does better.
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
"""One of classic BPF: code, jump if true, jump if false, operand (kernel: networking/filter)."""


def inside(process: Process, work: Callable[[], T]) -> T:
    """The result of ``work`` in the namespace of a container. Raises what it raises, and OSError.

    It runs in a thread of its own: one that has moved is of no other use.
    """
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            _enter(process)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            problems.append(error)

    thread = threading.Thread(target=run, name="network namespace")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


def attach_filter(packets: socket.socket, program: Sequence[Instruction]) -> None:
    """Have the kernel hand over only what the filter takes; it takes the place of a former one."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def _enter(process: Process) -> None:
    """Move this thread. Raises OSError, also when the namespace is the host's."""
    descriptor = process.network()
    try:
        if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
            raise OSError(0, f"process {process.pid} is in the host's network")
        # os.setns is there from Python 3.12 on.
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")
    finally:
        os.close(descriptor)
