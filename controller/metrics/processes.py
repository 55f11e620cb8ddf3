"""The first processes of containers, found by the names of their cgroups. Blocks; a look costs 20 us a process.

Engines, kubelets and cgroup drivers name cgroups as they like, on v1 and v2, but all put the container's id into them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from controller import boottime

PROC = Path("/proc")


def first(ids: Collection[str], proc: Path = PROC) -> dict[str, int]:
    """Container id to the process that has run longest in it; those that run nothing are left out."""
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
    """What is written of each process' cgroups (cgroups(7))."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), (folder / "cgroup").read_text()
            except OSError:
                continue  # it ended meanwhile


def _start_time(pid: int, proc: Path) -> int | None:
    try:
        return boottime.start_ticks(pid, proc)
    except (OSError, ValueError, IndexError):
        return None
