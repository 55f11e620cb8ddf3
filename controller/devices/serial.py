"""Finds the host's serial devices in /dev and sysfs (udev: 60-serial.rules). Read-only; blocks.

A device is identified by its stable id, the name that udev gives it in /dev/serial/by-id. Without udev the same name is
built from USB attributes. An onboard port is identified by its kernel name, which never changes. Drivers of vendors
choose their own names of nodes (ttyCH343USB0, ttyMXUSB0, ttyr00): a link in /dev/serial makes them known.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controller.devices.serial_device import ONBOARD, PLUGGED, SerialDevice
from controller.devices.sysfs import Sysfs
from controller.devices.twins import Twins
from controller.workers import Workers

_DEV = (Path("../.."), Path("/dev"))  # as seen from a link in /dev/serial
_LIMIT = 64
SCAN_SECONDS = 1.0

Links = Mapping[str, tuple[str, ...]]  # of each node


@dataclass(frozen=True)
class Roots:
    """The directories with the host's devices; they differ in a container and in tests."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys")


class SerialDevices:
    """Finds the serial devices below ``roots``. ``current`` are those of the last refresh.

    A refresh scans only if a folder or a known node has another time than before, and at the latest after ``rescan``
    refreshes, of which there is one ``every`` so many seconds.
    """

    def __init__(self, roots: Roots, rescan: int = 60, every: float = SCAN_SECONDS) -> None:
        self._roots = roots
        self._sysfs = Sysfs(roots.sys)
        self._twins = Twins()
        self._rescan = rescan
        self._every = every
        self._folders = (roots.dev, roots.dev / "serial/by-id", roots.dev / "serial/by-path")
        self.current: tuple[SerialDevice, ...] = ()
        self._times: tuple[int, ...] = ()
        self._unchanged = 0  # refreshes since the times changed or a scan was due

    async def refresh(self) -> bool:
        """Look in a thread; return whether something changed."""
        before, self.current = self.current, await asyncio.to_thread(self._look)
        return before != self.current

    async def changed(self) -> None:
        """Refresh periodically until something has changed.

        In one thread: a timer and a hop to a thread each second would take as much CPU again as the refresh.
        """
        ended, thread = threading.Event(), Workers(1, "serial-devices")
        try:
            self.current = await thread.run(partial(self._until_changed, ended))
        finally:
            ended.set()
            thread.close()

    def _until_changed(self, ended: threading.Event) -> tuple[SerialDevice, ...]:
        found = self.current
        while found == self.current and not ended.wait(self._every):
            found = self._look()
        return found

    def _look(self) -> tuple[SerialDevice, ...]:
        return self.scan() if self._scan_due() else self.current

    def _scan_due(self) -> bool:
        """Whether a scan may find something else. Takes a tenth of its time."""
        before, self._times = self._times, self._read_times()
        self._unchanged = 0 if self._times != before or self._unchanged >= self._rescan else self._unchanged + 1
        # Once more after a change: another one within the same tick of the clock leaves the same time.
        return self._unchanged <= 1

    def _read_times(self) -> tuple[int, ...]:
        nodes = [self._roots.dev / device.path.removeprefix("/dev/") for device in self.current]
        return tuple(map(_changed_at, (*self._folders, *nodes)))

    def scan(self) -> tuple[SerialDevice, ...]:
        """Return all devices sorted by path, at most 64."""
        by_id, by_path = self._links("by-id"), self._links("by-path")
        found = [self._device(node, by_id, by_path) for node in self._nodes({*by_id, *by_path})]
        present = sorted((device for device in found if device), key=lambda device: device.path)
        return tuple(self._twins.tell_apart(present[:_LIMIT]))

    def _nodes(self, linked: Container[str]) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self._roots.dev) as entries:
                yield from (entry for entry in entries if self._is_serial(entry.name, linked))
        except OSError:
            return

    def _is_serial(self, name: str, linked: Container[str]) -> bool:
        if ONBOARD.fullmatch(name):
            return self._sysfs.has_hardware(name)
        return name in linked or bool(PLUGGED.fullmatch(name))

    def _links(self, folder: str) -> Links:
        """Return udev's names, in order, by the name of the node they point to."""
        try:
            with os.scandir(self._roots.dev / "serial" / folder) as entries:
                pairs = sorted((node, entry.name) for entry in entries if (node := _target(entry)))
        except OSError:
            return {}
        return {node: tuple(name for other, name in pairs if other == node) for node, _ in pairs}

    def _device(self, node: os.DirEntry[str], by_id: Links, by_path: Links) -> SerialDevice | None:
        try:
            # A link to another node would list that port twice.
            status = node.stat(follow_symlinks=False)
        except OSError:
            return None  # unplugged in between
        if not stat.S_ISCHR(status.st_mode):
            return None
        ids, paths = by_id.get(node.name, ()), by_path.get(node.name, ())
        facts = self._sysfs.usb_facts(node.name)
        return SerialDevice(
            # Several names may lead to one node; the first in order counts, so that it is the same in every scan.
            device_id=next(iter(ids), "") or facts.usb_id or node.name,
            path=f"/dev/{node.name}",
            number=status.st_rdev,
            mode=stat.S_IMODE(status.st_mode),
            owner=status.st_uid,
            group=status.st_gid,
            by_path=next(iter(paths), "") or facts.place,
            links=(*ids, *paths),
            **facts._asdict(),
        )


def _changed_at(path: Path) -> int:
    """Return the time of the last change of a file or of a folder's entries, 0 if there is none."""
    try:
        return path.lstat().st_ctime_ns
    except OSError:
        return 0


def _target(entry: os.DirEntry[str]) -> str:
    """Return the name of the node in /dev that a link leads to, "" for no such link."""
    try:
        target = Path(entry.path).readlink()
    except OSError:
        return ""  # no link, or unplugged in between
    return target.name if target.parent in _DEV else ""
