"""Measures how full the host's disks are, in a thread that a hanging disk may block."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import psutil

logger = logging.getLogger(__name__)

# Package and media images: always full, never the host's storage.
_READ_ONLY_IMAGES = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs"})
_FIRST_ANSWER_SECONDS = 1.0


class DiskUsage(NamedTuple):
    """Bytes over all real file systems of the host."""

    used: int
    total: int


class Disks:
    """The sum over the host's local file systems, each device once, measured every ``refresh`` seconds.

    ``statvfs`` on a failing disk may never return, so each measurement has its own daemon thread (an executor's thread
    would keep the process from exiting). Until a measurement is done, the previous values are returned.
    """

    def __init__(
        self,
        *,
        refresh: float = 60.0,
        measure: Callable[[], DiskUsage] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._refresh = refresh
        self._measure = measure or measure_disks
        self._clock = clock
        self._usage: DiskUsage | None = None
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self._warned = False

    def usage(self) -> DiskUsage:
        """Return the last values and start a measurement when due. Only the first call waits, for at most 1 s."""
        if self._thread is None:
            self._start().join(_FIRST_ANSWER_SECONDS)
        elif self._clock() - self._started >= self._refresh:
            self._restart(self._thread)
        return self._usage or DiskUsage(0, 0)

    def _start(self) -> threading.Thread:
        self._started = self._clock()
        self._thread = threading.Thread(target=self._run, name="disks", daemon=True)
        self._thread.start()
        return self._thread

    def _restart(self, last: threading.Thread) -> None:
        # Never a second thread: it would hang on the same disk, and one more every minute.
        if not last.is_alive():
            self._warned = False
            self._start()
        elif not self._warned:
            self._warned = True
            logger.warning("A disk does not respond, disk usage is not updated: check dmesg")

    def _run(self) -> None:
        try:
            # Replacing the tuple is atomic, so usage() reads it without a lock, which a hanging disk could hold.
            self._usage = self._measure()
        except (OSError, psutil.Error) as error:
            logger.warning("Cannot measure disk usage: %s", error)


def measure_disks() -> DiskUsage:
    """Measure every local file system of the host once; skip those that fail."""
    used = total = 0
    # all=False leaves out what has no device: tmpfs, overlay, and NFS, whose server may hang.
    partitions = psutil.disk_partitions(all=False)
    for mount in mount_points((part.device, part.mountpoint, part.fstype) for part in partitions):
        try:
            usage = psutil.disk_usage(mount)
        except OSError:  # unmounted since, or not accessible
            continue
        used += usage.used
        total += usage.total
    return DiskUsage(used, total)


def mount_points(partitions: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return one mount point per device; ``partitions`` are device, mount point and type of each mount.

    Bind mounts and subvolumes would count the same space again.
    """
    first: dict[str, str] = {}
    for device, mount, kind in partitions:
        if kind not in _READ_ONLY_IMAGES:
            first.setdefault(device, mount)
    return list(first.values())
