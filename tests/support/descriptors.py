"""Counts the open descriptors of this process, to detect leaks."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path


def opened(kind: str = "") -> int:
    """Count the open descriptors with a target that starts with ``kind`` (``socket:``, a folder)."""
    gc.collect()  # garbage of earlier tests could be closed at any moment
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own, closed by now
            count += str(link.readlink()).startswith(kind)
    return count
