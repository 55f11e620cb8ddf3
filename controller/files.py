"""Files that must be whole after a power cut, and one way to write a small one that is nobody else's to read.

A leaf like names and errors: it imports nothing of ours and knows nothing of what it writes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

NO_RIGHT = "give the controller the right to write it"
READ_ONLY = "the file system is read-only: mount it for writing"
SPACE = "free space on the disk"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NO_RIGHT,
    errno.EPERM: NO_RIGHT,
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
    errno.ENFILE: "raise the limit of open files (fs.file-max)",
    errno.EIO: "the disk fails: replace it (dmesg)",
}


def write_secret(path: Path, content: bytes) -> None:
    """Put the file in place with mode 0600, on disk when this returns. Raises OSError; then the former one stands."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def is_secret(path: Path, content: bytes) -> bool:
    """Whether the file is there as ``write_secret`` would leave it. Raises OSError."""
    if not path.is_file() or path.stat().st_mode & 0o777 != 0o600:
        return False
    return path.read_bytes() == content


def remedy(error: OSError) -> str:
    """What a person does so that our files can be read and written."""
    return REMEDIES.get(error.errno or 0, "see that the disk works, has space and can be written")


def make_private(path: Path) -> None:
    """Have the file there with mode 0600, empty when it is new. Raises OSError.

    One that is there is not opened: closing a descriptor drops the locks that SQLite has on the file.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    tighten(path, 0o600)


def tighten(path: Path, mode: int) -> None:
    """Take from a file or folder what the mode does not give.

    One that is not ours, or on a file system that is read-only or has no modes (a USB stick), stays as it is.
    """
    with contextlib.suppress(OSError):
        found = path.stat().st_mode & 0o777
        if found & ~mode:
            path.chmod(found & mode)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: else a power cut may undo a rename that was made."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
