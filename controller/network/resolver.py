"""The resolver configuration of a running container: /etc/resolv.conf as its processes see it.

The container's root is not trusted: no link in it is followed, and only a regular file is written.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from controller import errors
from controller.resources import reasons

PROC = Path("/proc")
_LIMIT = 64 * 1024


def name_servers(pid: int, proc: Path = PROC) -> tuple[str, ...]:
    """The name servers, in order (resolv.conf(5)); none when there is no such file. Blocks shortly."""
    try:
        with _opened(proc / f"{pid}/root", os.O_RDONLY) as descriptor:
            text = os.read(descriptor, _LIMIT).decode(errors="replace")
    except OSError:
        return ()
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def write(pid: int, servers: Sequence[str], proc: Path = PROC) -> None:
    """Replace the content in place: the file is a mount, which a rename cannot replace. Blocks shortly."""
    content = "".join(["# written by edge-controller\n", *(f"nameserver {server}\n" for server in servers)])
    try:
        with _opened(proc / f"{pid}/root", os.O_WRONLY) as descriptor:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, content.encode())
    except OSError as error:
        message = f"The runtime's /etc/resolv.conf cannot be written: {error.strerror}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error


@contextlib.contextmanager
def _opened(root: Path, mode: int) -> Iterator[int]:
    with contextlib.ExitStack() as opened:
        folder = _hold(opened, os.open(root, os.O_PATH | os.O_DIRECTORY))
        folder = _hold(opened, os.open("etc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder))
        file = _hold(opened, os.open("resolv.conf", mode | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder))
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(0, "it is no regular file")
        yield file


def _hold(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor
