"""Finds the cgroup directories of a process on v1, v2 and hybrid hosts, and parses their files.

The paths come from /proc/<pid>/cgroup, never from a template, because their names depend on engine and cgroup driver
(cgroups(7); kernel admin guide: cgroup-v1 memory and cpuacct, cgroup-v2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from controller import boottime


class Files(NamedTuple):
    """The files with the usage of one cgroup."""

    cpu: Path  # cpuacct.usage (v1) or cpu.stat (v2)
    memory: Path  # memory.usage_in_bytes (v1) or memory.current (v2)
    memory_stat: Path


def resolve(pid: int, proc: Path, sys_fs_cgroup: Path) -> Files:
    """Return the files of the cgroup that ``pid`` is in.

    Raises OSError when the process is gone, LookupError when its cgroup is not visible from here or is the host's root
    (which accounts for the whole host).
    """
    directories = _directories((proc / str(pid) / "cgroup").read_text(), sys_fs_cgroup)
    # Each controller by itself: a hybrid host has some on v1 and the others in the unified hierarchy.
    cpu, memory = directories.get("cpuacct"), directories.get("memory")
    usage = memory / "memory.usage_in_bytes" if memory else _unified(directories) / "memory.current"
    return Files(
        cpu=cpu / "cpuacct.usage" if cpu else _unified(directories) / "cpu.stat",
        memory=usage,
        memory_stat=usage.with_name("memory.stat"),
    )


def _directories(table: str, root: Path) -> dict[str, Path]:
    """Map controllers to directories; the unified hierarchy has the key "". Lines are ``id:controllers:path``."""
    found = {}
    for line in table.splitlines():
        # The path may contain colons, so only the first two separate.
        _, controllers, path = line.split(":", 2)
        if path == "/" or path.startswith("/.."):
            continue  # the host's root, or outside our cgroup namespace
        for controller in controllers.split(","):
            found[controller] = _mount(root, controllers, controller) / path.lstrip("/")
    return found


def _mount(root: Path, controllers: str, controller: str) -> Path:
    if controllers:
        # Controllers that are mounted together, such as cpu,cpuacct, usually also have a link with the name of each.
        alone = root / controller
        return alone if alone.is_dir() else root / controllers
    return root if (root / "cgroup.controllers").exists() else root / "unified"


def _unified(directories: dict[str, Path]) -> Path:
    try:
        return directories[""]
    except KeyError:
        raise LookupError(
            "its cgroup is not visible: run the controller in the host's PID and cgroup namespaces"
        ) from None


def parse_cpu(content: bytes) -> float:
    """Return the CPU time used by the cgroup in core seconds; v1 has nanoseconds, v2 starts with ``usage_usec``."""
    name, _, value = content.partition(b" ")
    if name == b"usage_usec":
        return int(value[: value.index(b"\n")]) / 1e6
    return int(content) / 1e9


def parse_memory(usage: bytes, stat: bytes) -> int:
    """Return bytes in use as ``docker stats`` counts them: without the file cache that is reclaimed first."""
    # The kernel updates both files independently, so the cache may exceed the usage; Docker's client ignores it then.
    used, inactive = int(usage), _inactive_file(stat)
    return used - inactive if inactive < used else used


def _inactive_file(stat: bytes) -> int:
    # On v1 inactive_file excludes the children and total_inactive_file includes them; on v2 inactive_file includes
    # them.
    total = _value(stat, b"total_inactive_file")
    return _value(stat, b"inactive_file") or 0 if total is None else total


def _value(stat: bytes, name: bytes) -> int | None:
    """Return the value of one of some forty lines; this runs for each container every five seconds."""
    _, found, rest = (b"\n" + stat).partition(b"\n" + name + b" ")
    return int(rest.partition(b"\n")[0]) if found else None


PROC = Path("/proc")


def first_processes(ids: Collection[str], proc: Path = PROC) -> dict[str, int]:
    """Map container ids to their oldest process; containers without a process are left out."""
    if not ids:
        return {}
    # By start time, because pids wrap; the later processes are children and execs.
    found: dict[str, tuple[int, int]] = {}
    for pid, table in _cgroups(proc):
        for container in (container for container in ids if _is_of(container, table)):
            started = _start_time(pid, proc)
            if started is not None:
                found[container] = min(found.get(container, (started, pid)), (started, pid))
    return {container: pid for container, (_, pid) in found.items()}


def _is_of(container: str, table: str) -> bool:
    """Whether a process with this cgroup table belongs to the container."""
    # CRI-O's monitor is older than the container and has a cgroup next to it: crio-conmon-ID.scope.
    return container in table and f"conmon-{container}" not in table


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
