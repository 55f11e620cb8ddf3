"""The UNIX socket through which the process that serves the API uses it itself: no TLS, no token.

The kernel tells who connects (SO_PEERCRED, unix(7)). The socket lies in a folder that only its owner can enter, so no
other user can put one of its own in its place.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
from pathlib import Path

SOCKET = "controller.sock"
BACKLOG = 100
PATH_BYTES = 107  # of sun_path, without the final null (unix(7))
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

logger = logging.getLogger(__name__)


def bind(path: Path) -> socket.socket | None:
    """Listen on a new socket at the path; None, with the reason in the log, if that is not possible there. Blocking."""
    try:
        _check(path)
        # Left behind by a process that was killed. Of a symbolic link, this removes the link and not its target.
        path.unlink(missing_ok=True)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            made.bind(str(path))
            path.chmod(0o600)
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
    except OSError as error:
        logger.warning("Cannot listen on %s, using TLS instead: %s", path, error)
        return None
    return made


def is_ours(connection: socket.socket) -> bool:
    """Whether the other end belongs to the user of this process."""
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return bool(uid == os.geteuid())


def _check(path: Path) -> None:
    """Raise OSError if the path is too long or others may write to its folder."""
    if len(os.fsencode(path)) > PATH_BYTES:
        raise OSError(f"the path has more than {PATH_BYTES} bytes")
    folder = path.parent.lstat()
    if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != os.geteuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise OSError("its folder must be a directory that belongs to this user and has mode 0700")
