"""Detects a full file system, for everything that writes to it.

A leaf module like files: it knows nothing about the content. A full disk is logged when it fills up and when it
has room again, not for each failed write.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

MIB = 1 << 20
LEAST_BYTES, ENOUGH_BYTES = MIB, 2 * MIB  # full below the first; room again above the second
LEAST_INODES, ENOUGH_INODES = 16, 64
PROBE_BYTES = 4 * MIB  # the size of the largest row
HOST_ROOT = Path("/proc/1/root")  # the host's root; in a container our own root differs
DISTRUST_SECONDS = 30.0  # after a write failed although the file system reports free space, as with a quota
EXT4_RESERVED_BLOCKS = 4096  # at most; not even root can use them (ext4_calculate_resv_blocks)
REMEDY = "free space, for example with `docker image prune`; work then resumes automatically"
MEANWHILE = "only essential data is written"


class Disk:
    """The file system of one directory. Thread-safe; ``check`` and ``free_bytes`` take one system call each.

    ``whose`` names its owner if that is not the controller. Log messages say what happens while it is full
    (``meanwhile``) and what to do (``remedy``).
    """

    def __init__(
        self,
        directory: Path,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
        clock: Callable[[], float] = time.monotonic,
        *,
        whose: str = "",
        meanwhile: str = MEANWHILE,
        remedy: str = REMEDY,
    ) -> None:
        self.directory = directory
        self.fault = ""  # result of the last check: what is full and the remedy, "" while there is room
        self.visible = True  # result of the last check: a container may have no such directory
        self._whose = whose
        self._meanwhile = meanwhile
        self._remedy = remedy
        self._statvfs = statvfs
        self._clock = clock
        self._distrusted = float("-inf")
        self._lock = threading.Lock()

    def check(self) -> str:
        """Check the file system and return the current fault. A directory that cannot be checked is not full."""
        with self._lock:
            self._turn(self._shortage())
            return self.fault

    def refused(self, error: Exception) -> None:
        """Count the disk as full for a while after a write failed for lack of space."""
        with self._lock:
            # A quota need not show in statvfs, so the failed write may be the only sign of it.
            self._distrusted = self._clock() + DISTRUST_SECONDS
            why = error.strerror if isinstance(error, OSError) else error
            self._turn(self._shortage() or f"the {self._name} is full ({why})")

    def probe(self) -> OSError | None:
        """Write and remove a file of 4 MiB; return the error, for example of a quota, or None. Blocking."""
        try:
            # It has no name where the file system supports that (O_TMPFILE), so a power cut leaves nothing behind.
            with tempfile.TemporaryFile(dir=self.directory) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                # Some file systems, such as NFS, report a lack of space no earlier than this (write(2)).
                os.fsync(file.fileno())
        except OSError as error:
            return error
        return None

    def free_bytes(self) -> int:
        """Return the bytes that we can still write, 0 when unknown."""
        try:
            return _free_bytes(self._statvfs(self.directory))
        except OSError:
            return 0

    def _shortage(self) -> str:
        try:
            found = self._statvfs(self.directory)
        except OSError:
            self.visible = False
            return ""
        self.visible = True
        # Two limits, so that a disk at the limit does not alternate between full and not with every write.
        full = bool(self.fault)
        free, inodes = _free_bytes(found), _inodes(found)
        if free < (ENOUGH_BYTES if full else LEAST_BYTES):
            return f"the {self._name} is full ({free // 1024} KiB of {_total(found)} MiB are left)"
        if inodes < (ENOUGH_INODES if full else LEAST_INODES):
            return f"the {self._name} has no inodes left ({inodes} of {found.f_files})"
        return self.fault.partition(": ")[0] if self._clock() < self._distrusted else ""

    @property
    def _name(self) -> str:
        return f"disk of {self._whose} ({self.directory})" if self._whose else f"disk of {self.directory}"

    def _turn(self, shortage: str) -> None:
        was, self.fault = self.fault, f"{shortage}: {self._remedy}" if shortage else ""
        if self.fault and not was:
            logger.error("Until there is room, %s: %s", self._meanwhile, self.fault)
        elif was and not self.fault:
            logger.info("The %s has room again", self._name)


def is_full(directory: Path) -> bool:
    """Return whether the file system of a host directory is full. A directory that cannot be checked is not full."""
    try:
        found = on_host(directory)
    except OSError:
        return False
    return _free_bytes(found) < LEAST_BYTES or _inodes(found) < LEAST_INODES


def on_host(directory: Path) -> os.statvfs_result:
    """Return os.statvfs of a path on the host, even when we run in a container. Raises OSError."""
    try:
        return os.statvfs(HOST_ROOT.joinpath(*directory.parts[1:]))
    except OSError:  # /proc/1/root needs privileges
        return os.statvfs(directory)


def _free_bytes(found: os.statvfs_result) -> int:
    """Count root's reserved blocks as free, because dockerd writes as root too."""
    # The counts are in units of f_frsize, which may differ from f_bsize (statvfs(3)).
    if os.geteuid():
        return found.f_bavail * found.f_frsize
    hidden = min(found.f_blocks // 50, EXT4_RESERVED_BLOCKS) if found.f_bavail < found.f_bfree else 0
    return max(found.f_bavail, found.f_bfree - hidden) * found.f_frsize


def _inodes(found: os.statvfs_result) -> int:
    """Return the free inodes; some file systems, such as Btrfs, do not count them."""
    return (found.f_favail if os.geteuid() else found.f_ffree) if found.f_files else ENOUGH_INODES


def _total(found: os.statvfs_result) -> int:
    return found.f_blocks * found.f_frsize // MIB
