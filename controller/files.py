"""Writes small private files that survive a power cut, and restricts the modes of files.

A leaf module like names and errors: it imports nothing of ours and knows nothing about the content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

NO_RIGHT = "give the controller permission to write it"
READ_ONLY = "mount the file system read-write; if the kernel made it read-only (dmesg), check the disk before"
SPACE = "free space on the disk"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EROFS: READ_ONLY,
    errno.EACCES: NO_RIGHT,
    errno.EPERM: NO_RIGHT,
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
    errno.ENFILE: "raise the limit of open files (fs.file-max)",
    errno.EIO: "the disk is failing: check dmesg and replace it",
}


def write_secret(path: Path, content: bytes) -> None:
    """Atomically write a file with mode 0600 and sync it to disk. On OSError the previous file is unchanged."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # O_EXCL follows no symlink, and the mode holds from the first byte, whatever the umask of a command is.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        rename_durably(temporary, path)
    finally:
        # After the rename there is none; after a failure it would take space on a full disk.
        temporary.unlink(missing_ok=True)


def rename_durably(fresh: Path, path: Path) -> None:
    """Rename a finished file; durable when this returns."""
    # The content before the name: otherwise a power cut may leave the new name with an empty file (delayed allocation).
    sync(fresh)
    fresh.replace(path)
    sync(path.parent)


def is_secret(path: Path, content: bytes) -> bool:
    """Return whether the file has this content and the mode of ``write_secret``. Raises OSError."""
    if not path.is_file() or path.stat().st_mode & 0o777 != 0o600:
        return False
    return path.read_bytes() == content


def remedy(error: OSError) -> str:
    """Return what a person can do about a failed read or write of a file."""
    return REMEDIES.get(error.errno or 0, "check that the disk works, has free space and is writable")


def make_private(path: Path) -> None:
    """Ensure that the file exists with mode 0600; a new file is empty. Raises OSError.

    An existing file is not opened, because closing a descriptor would drop SQLite's locks on the file.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    tighten(path, 0o600)


def tighten(path: Path, mode: int) -> None:
    """Remove the permissions of a file or folder that are not in ``mode``.

    Does nothing if the file is not ours or its file system is read-only or has no modes (a USB stick).
    """
    with contextlib.suppress(OSError):
        found = path.stat().st_mode & 0o777
        if found & ~mode:
            path.chmod(found & mode)


def sync(path: Path) -> None:
    """Sync a file or a folder's entries to disk; without it a power cut may undo a rename."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
