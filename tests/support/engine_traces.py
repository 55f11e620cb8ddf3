"""Finds and removes what a private Docker engine or a cluster's node leaves on the machine, without its help.

So it works after a kill -9, for every engine version, and for leftovers of an earlier run. Everything is found by the
engine's root folder: processes that name it, the cgroup named after it, mounts below it, and the bridges of networks in
its database.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.support.command import run

_CGROUPS = Path("/sys/fs/cgroup")
_END_SECONDS = 30


def remove(root: Path) -> None:
    """Remove every trace of the engine with this root, including the root."""
    links = bridges(root)
    kill(root)
    for mount in reversed(mounts(root)):
        run("umount", "--lazy", mount, check=False)
    remove_bridges(links)
    for group in cgroups(root):
        _remove_cgroup(group)
    shutil.rmtree(root, ignore_errors=True)


def kill(root: Path) -> None:
    """Kill every process of the engine and of its containers."""
    _kill_until_gone(lambda: processes(root))


def find(root: Path) -> list[str]:
    """Return one line for each trace; empty when the engine left nothing."""
    return [
        *(f"process {process}" for process in processes(root)),
        *(f"mount {mount}" for mount in mounts(root)),
        *(f"cgroup {group}" for group in cgroups(root)),
        *([f"folder {root}"] if root.exists() else []),
    ]


def processes(root: Path) -> set[int]:
    """Find dockerd, containerd and shims (they name the root), and everything that runs in the containers."""
    found = {int(pid) for group in cgroups(root) for file in group.rglob("cgroup.procs") for pid in _read(file).split()}
    return found | _naming(f"{root}/")


def mounts(root: Path) -> list[str]:
    """Return the mount points below the root, outer ones first (proc(5), mountinfo: field 5)."""
    points = [line.split()[4] for line in _read(Path("/proc/self/mountinfo")).splitlines()]
    return sorted(point for point in points if point.startswith(f"{root}/"))


def cgroups(root: Path) -> list[Path]:
    """Return the engine's cgroups: one on v2, one in each hierarchy on v1."""
    return [group for group in (_CGROUPS / root.name, *_CGROUPS.glob(f"*/{root.name}")) if group.is_dir()]


def bridges(root: Path) -> set[str]:
    """Return the existing bridges of the engine's networks, named after the networks in its database."""
    database = root / "data/network/files/local-kv.db"
    content = database.read_bytes() if database.exists() else b""
    names = {f"br-{network[:12].decode()}" for network in re.findall(rb"network/v1\.0/bridge/([0-9a-f]{64})", content)}
    return {name for name in names if link_exists(name)}


def remove_bridges(names: Iterable[str]) -> None:
    """Remove bridges with their ports: an engine that is killed at the start of a container leaves a veth pair."""
    for name in names:
        ports = Path("/sys/class/net", name, "brif")
        for link in [*([port.name for port in ports.iterdir()] if ports.exists() else []), name]:
            run("ip", "link", "delete", link, check=False)


def link_exists(name: str) -> bool:
    """Return whether the machine has a network link of this name."""
    return Path("/sys/class/net", name).exists()


def kill_containerd(root: Path) -> None:
    """Kill the containerd that dockerd started.

    Remove its pid file too: dockerd 20.10 mistakes an unreaped zombie for a running containerd.
    """
    _kill_until_gone(lambda: _naming(f"{root}/exec/containerd/containerd.toml"))
    (root / "exec/containerd/containerd.pid").unlink(missing_ok=True)


def _naming(text: str) -> set[int]:
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return {int(folder.name) for folder in folders if text in _read(folder / "cmdline")} - {os.getpid()}


def _kill_until_gone(find_processes: Callable[[], set[int]]) -> None:
    deadline = time.monotonic() + _END_SECONDS
    # Repeatedly: a shim that outlives its containerd may still have started something.
    while (found := find_processes()) and time.monotonic() < deadline:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def _remove_cgroup(group: Path) -> None:
    for folder in [*_deepest_first(group), group]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _deepest_first(folder: Path) -> Iterator[Path]:
    return reversed([path for path in sorted(folder.rglob("*")) if path.is_dir()])


def _read(file: Path) -> str:
    # Processes and cgroups may disappear during the search.
    try:
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
