"""The descriptors of this process: a test counts them to see that what it opened is closed."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path


def opened(kind: str = "") -> int:
    """How many are open, of those whose target begins with ``kind`` (``socket:``, a folder)."""
    gc.collect()  # what earlier tests left would be closed at any moment
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own, closed by now
            count += str(link.readlink()).startswith(kind)
    return count
