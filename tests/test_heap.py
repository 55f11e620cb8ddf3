"""The heap of the C library, in a process of its own, as its number cannot be reduced again."""

from __future__ import annotations

import sys

from tests.support import command

ALLOCATING = (
    "import ctypes, threading; made = threading.Barrier(4)\n"
    "def allocate(): kept = bytearray(5000); made.wait()\n"
    "threads = [threading.Thread(target=allocate) for _ in range(4)]\n"
    "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    "ctypes.CDLL(None).malloc_stats()"
)


def heaps(prepared: str) -> int:
    """How many heaps glibc lists for four threads that allocate at the same time."""
    return command.run(sys.executable, "-c", f"{prepared}\n{ALLOCATING}").stderr.count("Arena ")


def test_threads_share_one_heap() -> None:
    assert heaps("") > 1
    assert heaps("from controller import heap; heap.share()") == 1
