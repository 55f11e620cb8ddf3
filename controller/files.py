"""Files that must be whole after a power cut, and one way to write a small one that is nobody else's to read.

A leaf like names and errors: it imports nothing of ours and knows nothing of what it writes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


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


def make_private(path: Path) -> None:
    """Have the file there with mode 0600, empty when it is new. Raises OSError.

    One that is there is not opened: closing a descriptor drops the locks that SQLite has on the file.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.chmod(0o600)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: else a power cut may undo a rename that was made."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
