"""The open descriptors of this process: counted to detect leaks, and many at once."""

from __future__ import annotations

import contextlib
import gc
import resource
from collections.abc import Iterator
from pathlib import Path


def opened(kind: str = "") -> int:
    """Count the open descriptors with a target that starts with ``kind`` (``socket:``, a folder)."""
    gc.collect()  # garbage of earlier tests could be closed at any moment
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own, closed by now
            count += str(link.readlink()).startswith(kind)
    return count


@contextlib.contextmanager
def allowed(number: int) -> Iterator[None]:
    """Allow this process at least this many open descriptors."""
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
