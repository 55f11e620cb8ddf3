"""Measures a process with its children: memory, CPU, bytes written; file descriptors and threads of it alone."""

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
    return float(sum(member.memory_info().rss for member in _family(pid)))


def written_bytes(pid: int) -> int:
    """What the process and its children caused to be written to disk: bytes of pages made dirty (proc_pid_io(5))."""
    return sum(int(member.io_counters().write_bytes) for member in _family(pid))


async def cpu_percent(pid: int, seconds: float) -> float:
    """CPU of the process and its children over the next seconds, in percent of one core."""
    before = _cpu_seconds(pid)
    await asyncio.sleep(seconds)
    return 100 * (_cpu_seconds(pid) - before) / seconds


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    ended = times.children_user + times.children_system
    return float(sum(sum(member.cpu_times()[:2]) for member in _family(pid)) + ended)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
