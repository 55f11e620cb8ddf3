"""Measures a process: memory (including its children), CPU, file descriptors, threads."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import psutil


class Usage(NamedTuple):
    """File descriptors and threads of one process."""

    descriptors: int
    threads: int


def usage(pid: int) -> Usage:
    """The current usage."""
    process = psutil.Process(pid)
    return Usage(process.num_fds(), process.num_threads())


def resident_bytes(pid: int) -> float:
    """Resident memory of the process and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return float(sum(member.memory_info().rss for member in family))


async def cpu_percent(pid: int, seconds: float) -> float:
    """CPU over the next seconds, in percent of one core."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    await asyncio.sleep(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds
