"""One heap of the C library for all threads.

glibc gives threads heaps of their own, up to eight for each core, in each of which some memory stays free. Ours run
Python, of which only one runs at a time, so they would rarely wait for each other.
"""

from __future__ import annotations

import contextlib
import ctypes

M_ARENA_MAX = -8  # mallopt(3)


def share() -> None:
    """Let all threads that are started later use one heap. Other C libraries than glibc do anyway."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
