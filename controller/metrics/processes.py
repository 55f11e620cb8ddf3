"""Finds the first processes of containers by the names of their cgroups. Blocks; takes 20 us per process.

Cgroup names depend on engine, kubelet, cgroup driver and version, but all contain the container's id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from controller import boottime

PROC = Path("/proc")


def first(ids: Collection[str], proc: Path = PROC) -> dict[str, int]:
    """Map container ids to their oldest process; containers without a process are left out."""
    if not ids:
        return {}
    found: dict[str, tuple[int, int]] = {}
    for pid, table in _cgroups(proc):
        for container in (container for container in ids if container in table):
            started = _start_time(pid, proc)
            if started is not None:
                found[container] = min(found.get(container, (started, pid)), (started, pid))
    return {container: pid for container, (_, pid) in found.items()}


def _cgroups(proc: Path) -> Iterator[tuple[int, str]]:
    """Yield pid and cgroup table of each process (cgroups(7))."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), (folder / "cgroup").read_text()
            except OSError:
                continue  # the process ended in the meantime


def _start_time(pid: int, proc: Path) -> int | None:
    try:
        return boottime.start_ticks(pid, proc)
    except (OSError, ValueError, IndexError):
        return None
