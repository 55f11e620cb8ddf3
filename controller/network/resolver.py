"""The resolver configuration of a running container: /etc/resolv.conf as seen by its processes.

The container's root is not trusted: no symlink in it is followed, and only a regular file is read or written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from controller import errors
from controller.api import reasons
from controller.container_root import PROC, Process, folder, regular_file

# The runtime decides how long its file is.
_LIMIT = 64 * 1024
_FOLDER, _NAME = PurePosixPath("/etc"), "resolv.conf"


def name_servers(process: Process, proc: Path = PROC) -> tuple[str, ...]:
    """Return the name servers in order (resolv.conf(5)), none when there is no such file. Blocks briefly."""
    try:
        with _opened(process, os.O_RDONLY, proc) as descriptor:
            text = os.read(descriptor, _LIMIT).decode(errors="replace")
    except OSError:
        return ()
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def write(process: Process, servers: Sequence[str], proc: Path = PROC) -> None:
    """Replace the content in place: the file is a mount, which a rename cannot replace. Blocks briefly."""
    lines = ["# written by edge-controller\n", *(f"nameserver {server}\n" for server in servers)]
    content = "".join(lines).encode()
    try:
        with _opened(process, os.O_WRONLY, proc) as descriptor:
            # Truncate afterwards, or a crash in between would leave the runtime without a name server.
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
    except OSError as error:
        message = f"Cannot write the runtime's /etc/resolv.conf: {error.strerror}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error


@contextlib.contextmanager
def _opened(process: Process, flags: int, proc: Path) -> Iterator[int]:
    with folder(process, _FOLDER, proc=proc) as parent, regular_file(parent, _NAME, flags) as file:
        yield file
