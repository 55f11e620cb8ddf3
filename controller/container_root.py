"""A running container's first process, and its root as its processes see it, opened without trusting either.

A process id is proof of nothing: it may belong to another process by the time it is used. ``/proc/PID`` is therefore
held by a descriptor, which the kernel ties to that one process, and the process's cgroup must name the container.
Below the root every component is opened by a descriptor of its parent, and no link is followed. Blocks shortly.
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


@dataclass(frozen=True)
class Process:
    """The first process of a container: its number on the host, and the container's id."""

    pid: int
    container: str

    def runs(self, proc: Path = PROC) -> bool:
        """Whether there is such a process, and it is the container's."""
        try:
            with self.opened(proc):
                return True
        except OSError:
            return False

    def network(self) -> int:
        """A descriptor of its network namespace, for the caller to close. Raises OSError."""
        with self.opened() as process:
            return os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)

    @contextlib.contextmanager
    def opened(self, proc: Path = PROC) -> Iterator[int]:
        """A descriptor of ``/proc/PID``, proven to be the container's. Raises OSError."""
        with _closing(os.open(proc / str(self.pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as process:
            with _closing(os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)) as cgroup:
                # Engines name the cgroup after the container, whatever its parent and driver (cgroups(7)).
                if not self.container or self.container.encode() not in os.read(cgroup, _CGROUP_LIMIT):
                    raise ProcessLookupError(errno.ESRCH, f"process {self.pid} is not the container's")
            yield process


NONE = Process(0, "")
"""Of a container that does not run."""


@contextlib.contextmanager
def folder(process: Process, path: PurePosixPath, *, make: bool = False, proc: Path = PROC) -> Iterator[int]:
    """The folder at this absolute path of the container, with ``make`` made where it is missing.

    Raises OSError: when the process is not the container's, and when a component is a link or no folder.
    """
    if ".." in path.parts:
        raise OSError(errno.EINVAL, "the path has .. in it")
    with contextlib.ExitStack() as opened:
        held = opened.enter_context(process.opened(proc))
        # The root itself is a link of the kernel, which leads to the container's and nowhere else.
        held = opened.enter_context(_closing(os.open("root", _FOLDER & ~os.O_NOFOLLOW, dir_fd=held)))
        for part in path.parts[1:]:
            made = make and _make_folder(part, held)
            held = opened.enter_context(_closing(os.open(part, _FOLDER, dir_fd=held)))
            if made:
                by_descriptor(held).chmod(0o755)  # our umask is not the container's
        yield held


def _make_folder(name: str, parent: int) -> bool:
    """Whether the folder was missing."""
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def regular_file(parent: int, name: str, flags: int) -> Iterator[int]:
    """The regular file of this name, opened with ``flags``. Raises OSError for anything else.

    Only a file that was seen to be regular is opened: to open a device can be enough to set it off. A lease that a
    program of the container holds on it is not waited for, which could take 45 s (fcntl(2), F_SETLEASE).
    """
    with contextlib.ExitStack() as opened:
        found = opened.enter_context(_closing(os.open(name, _FILE, dir_fd=parent)))
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield opened.enter_context(_closing(os.open(by_descriptor(found), flags | os.O_NONBLOCK | os.O_CLOEXEC)))


@contextlib.contextmanager
def character_device(parent: int, name: str, number: int) -> Iterator[int]:
    """A descriptor (O_PATH) of the device node of this name and number. Raises OSError for anything else."""
    with _closing(os.open(name, _FILE, dir_fd=parent)) as found:
        status = os.fstat(found)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != number:
            raise OSError(errno.ESTALE, "the runtime has put something else in its place")
        yield found


def by_descriptor(descriptor: int) -> Path:
    """A path to exactly what the descriptor holds, for calls that take no descriptor of O_PATH (open(2))."""
    return Path(f"/proc/self/fd/{descriptor}")


_FILE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _FILE | os.O_DIRECTORY


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
