"""How full the host's disks are, measured where a hanging disk can hang nothing but itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import psutil

logger = logging.getLogger(__name__)

# Images of packages and media: always full, never the host's storage.
_READ_ONLY_IMAGES = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs"})
_FIRST_ANSWER_SECONDS = 1.0


class DiskUsage(NamedTuple):
    """Bytes over all real file systems of the host."""

    used: int
    total: int


class Disks:
    """The sum over the host's local file systems, each device once, measured anew every ``refresh`` seconds.

    ``statvfs`` on a dying disk may never return, so each measurement has a daemon thread of its own (an executor's
    thread would keep the process from ending). Until it is done the last figures stand.
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
        self._complained = False

    def usage(self) -> DiskUsage:
        """The last figures; starts the next measurement when it is due. Only the first call waits, 1 s at most."""
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
        if not last.is_alive():
            self._complained = False
            self._start()
        elif not self._complained:
            self._complained = True
            logger.warning("A disk does not answer: the disk figures stay as they were; look at dmesg")

    def _run(self) -> None:
        try:
            self._usage = self._measure()
        except (OSError, psutil.Error) as error:
            logger.warning("The disks cannot be measured: %s", error)


def measure_disks() -> DiskUsage:
    """Ask every local file system of the host once; one that cannot be asked is left out."""
    used = total = 0
    partitions = psutil.disk_partitions(all=False)
    for mount in mount_points((part.device, part.mountpoint, part.fstype) for part in partitions):
        try:
            usage = psutil.disk_usage(mount)
        except OSError:  # unmounted since, or not for us to see
            continue
        used += usage.used
        total += usage.total
    return DiskUsage(used, total)


def mount_points(partitions: Iterable[tuple[str, str, str]]) -> list[str]:
    """One mount point for each device (given: device, mount point, type of each mount).

    Bind mounts and subvolumes show the same space again.
    """
    first: dict[str, str] = {}
    for device, mount, kind in partitions:
        if kind not in _READ_ONLY_IMAGES:
            first.setdefault(device, mount)
    return list(first.values())
