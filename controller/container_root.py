"""Accesses a running container's first process and its root file system without trusting either.

A process id proves nothing: the kernel may have reused it by the time we use it. So we open ``/proc/PID``, whose
descriptor stays bound to that one process, and require that the process's cgroup names the container. Below the root
we open every path component relative to its parent's descriptor, and follow no symlink. Blocks briefly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
_CGROUP_LIMIT = 64 * 1024  # bytes
_MAP_LIMIT = 64 * 1024  # 340 lines at most


@dataclass(frozen=True)
class Process:
    """The first process of a container: its pid on the host, and the container's id."""

    pid: int
    container: str

    def runs(self, proc: Path = PROC) -> bool:
        """Return whether the process exists and belongs to the container."""
        try:
            with self.opened(proc):
                return True
        except OSError:
            return False

    def network(self) -> int:
        """Return a descriptor of its network namespace; the caller closes it. Raises OSError."""
        with self.opened() as process:
            return os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)

    @contextlib.contextmanager
    def opened(self, proc: Path = PROC) -> Iterator[int]:
        """Open ``/proc/PID`` and verify that the process belongs to the container. Raises OSError."""
        with _closing(os.open(proc / str(self.pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as process:
            with _closing(os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)) as cgroup:
                # Engines name the cgroup after the container, with any parent and driver (cgroups(7)).
                if not self.container or self.container.encode() not in os.read(cgroup, _CGROUP_LIMIT):
                    raise ProcessLookupError(errno.ESRCH, f"process {self.pid} is not the container's")
            yield process


@dataclass(frozen=True)
class IdMap:
    """The user or group ids of a container, which an engine may remap (userns-remap; user_namespaces(7)).

    ``ranges``: the first id inside, the same one on the host, and how many follow.
    """

    ranges: tuple[tuple[int, int, int], ...]

    def on_host(self, inside: int) -> int:
        """Return the host's id for one of the container, the first one if it has no such id."""
        found = (host + inside - first for first, host, count in self.ranges if first <= inside < first + count)
        return next(found, self.ranges[0][1])

    def has(self, on_host: int) -> bool:
        """Return whether the container has this id of the host; files of others are nobody's in it."""
        return any(host <= on_host < host + count for _, host, count in self.ranges)


_SAME_IDS = IdMap(((0, 0, 2**32 - 1),))


NONE = Process(0, "")
"""The process of a container that does not run."""


def id_maps(process: Process, proc: Path = PROC) -> tuple[IdMap, IdMap]:
    """Return the user and group ids of the container. Raises OSError when the process is not the container's."""
    with process.opened(proc) as opened:
        return _id_map(opened, "uid_map"), _id_map(opened, "gid_map")


def _id_map(process: int, name: str) -> IdMap:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    except FileNotFoundError:
        return _SAME_IDS  # a kernel without user namespaces
    with _closing(file):
        lines = os.read(file, _MAP_LIMIT).splitlines()
    ranges = tuple((int(first), int(host), int(count)) for first, host, count in map(bytes.split, lines))
    return IdMap(ranges) if ranges else _SAME_IDS


@contextlib.contextmanager
def folder(process: Process, path: PurePosixPath, *, make: bool = False, proc: Path = PROC) -> Iterator[int]:
    """Open the directory at this absolute path in the container; ``make`` creates missing ones.

    Raises OSError when the process is not the container's, or a component is a symlink or not a directory.
    """
    # O_NOFOLLOW does not stop it: seen from our root, ".." leads out of the container's.
    if ".." in path.parts:
        raise OSError(errno.EINVAL, "the path contains ..")
    with contextlib.ExitStack() as opened:
        held = opened.enter_context(process.opened(proc))
        # "root" is a magic link of the kernel that always resolves to the container's root.
        held = opened.enter_context(_closing(os.open("root", _FOLDER & ~os.O_NOFOLLOW, dir_fd=held)))
        for part in path.parts[1:]:
            made = make and _make_folder(part, held)
            held = opened.enter_context(_closing(os.open(part, _FOLDER, dir_fd=held)))
            if made:
                descriptor_path(held).chmod(0o755)  # mkdir applied our umask
        yield held


def _make_folder(name: str, parent: int) -> bool:
    """Create the directory; return whether it was missing."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def regular_file(parent: int, name: str, flags: int) -> Iterator[int]:
    """Open the regular file of this name with ``flags``. Raises OSError for anything else.

    The type is checked before opening, because merely opening a device can have effects. O_NONBLOCK avoids waiting up
    to 45 s for a file lease that a program of the container holds (fcntl(2), F_SETLEASE).
    """
    with contextlib.ExitStack() as opened:
        found = opened.enter_context(_closing(os.open(name, _FILE, dir_fd=parent)))
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield opened.enter_context(_closing(os.open(descriptor_path(found), flags | os.O_NONBLOCK | os.O_CLOEXEC)))


@contextlib.contextmanager
def character_device(parent: int, name: str, number: int) -> Iterator[int]:
    """Open the device node of this name and number with O_PATH. Raises OSError for anything else."""
    with _closing(os.open(name, _FILE, dir_fd=parent)) as found:
        status = os.fstat(found)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != number:
            raise OSError(errno.ESTALE, "the runtime has replaced it")
        yield found


def descriptor_path(descriptor: int) -> Path:
    """Return a path to the descriptor's file, for calls that reject O_PATH descriptors (open(2))."""
    return Path(f"/proc/self/fd/{descriptor}")


_FILE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _FILE | os.O_DIRECTORY


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
