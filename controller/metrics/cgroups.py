"""Where the kernel accounts a process: its cgroup directories, on v1, v2 and hybrid hosts.

The paths come from /proc/<pid>/cgroup, never from a template: engines and cgroup drivers name them as they like
(cgroups(7), cgroup-v1 memory and cpuacct, cgroup-v2 of the kernel's admin guide).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Files(NamedTuple):
    """The files that tell what one cgroup uses."""

    cpu: Path  # cpuacct.usage (v1) or cpu.stat (v2)
    memory: Path  # memory.usage_in_bytes (v1) or memory.current (v2)
    memory_stat: Path


def resolve(pid: int, proc: Path, sys_fs_cgroup: Path) -> Files:
    """The files of the cgroup that ``pid`` is in.

    Raises OSError when the process is gone, LookupError when its cgroup cannot be seen from here or is the host's
    root (whose figures are the whole host's).
    """
    directories = _directories((proc / str(pid) / "cgroup").read_text(), sys_fs_cgroup)
    cpu, memory = directories.get("cpuacct"), directories.get("memory")
    usage = memory / "memory.usage_in_bytes" if memory else _unified(directories) / "memory.current"
    return Files(
        cpu=cpu / "cpuacct.usage" if cpu else _unified(directories) / "cpu.stat",
        memory=usage,
        memory_stat=usage.with_name("memory.stat"),
    )


def _directories(table: str, root: Path) -> dict[str, Path]:
    """Controller to directory; the unified hierarchy has the key "". Lines are ``id:controllers:path``."""
    found = {}
    for line in table.splitlines():
        _, controllers, path = line.split(":", 2)
        if path == "/" or path.startswith("/.."):
            continue  # the host's root, or out of our cgroup namespace
        for controller in controllers.split(","):
            found[controller] = _mount(root, controllers, controller) / path.lstrip("/")
    return found


def _mount(root: Path, controllers: str, controller: str) -> Path:
    if controllers:
        alone = root / controller
        return alone if alone.is_dir() else root / controllers
    return root if (root / "cgroup.controllers").exists() else root / "unified"


def _unified(directories: dict[str, Path]) -> Path:
    try:
        return directories[""]
    except KeyError:
        raise LookupError(
            "its cgroup cannot be seen: the controller needs the host's PID and cgroup namespaces"
        ) from None


def parse_cpu(content: bytes) -> float:
    """Seconds of one core that the cgroup used: nanoseconds on v1, ``usage_usec`` first on v2."""
    name, _, value = content.partition(b" ")
    if name == b"usage_usec":
        return int(value[: value.index(b"\n")]) / 1e6
    return int(content) / 1e9


def parse_memory(usage: bytes, stat: bytes) -> int:
    """Bytes in use as ``docker stats`` counts them: without the file cache that the kernel would give back first."""
    used, inactive = int(usage), _inactive_file(stat)
    return used - inactive if inactive < used else used


def _inactive_file(stat: bytes) -> int:
    # v1 counts the cgroup alone as inactive_file and with its children as total_inactive_file; v2 has the first
    # name for the second meaning.
    fields = dict(line.split(b" ", 1) for line in stat.splitlines() if b" " in line)
    return int(fields.get(b"total_inactive_file", fields.get(b"inactive_file", b"0")))
