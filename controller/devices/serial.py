"""The host's serial devices, from /dev and sysfs (kernel: sysfs-class-tty; udev: 60-serial.rules). Read-only; blocks.

A device is identified by its stable id, the name that udev gives it in /dev/serial/by-id. Without udev the same name is
built from USB attributes. An onboard port is identified by its kernel name, which never changes. Drivers of vendors
choose their own names of nodes (ttyCH343USB0, ttyMXUSB0, ttyr00): a link in /dev/serial makes them known.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import threading
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controller.workers import Workers

_ONBOARD = re.compile(r"tty(S|AMA|mxc|O|THS|HS|sc|SC|AMP)[0-9]+")  # ports on the board
_PLUGGED = re.compile(r"tty(USB|ACM|XRUSB|UL)[0-9]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9#+.:=@_/-]")  # characters that udev replaces in names
_DEV = (Path("../.."), Path("/dev"))  # as seen from a link in /dev/serial
_LIMIT = 64
SCAN_SECONDS = 1.0
_TEXT_LIMIT = 128


@dataclass(frozen=True)
class Roots:
    """The directories with the host's devices; they differ in a container and in tests."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys")


@dataclass(frozen=True)
class SerialDevice:
    """One present device. ``number`` is the kernel's device number, which changes every time the device is plugged in.

    ``mode``, ``owner`` and ``group`` are those of its node on the host.
    """

    device_id: str
    path: str
    number: int
    mode: int
    owner: int
    group: int
    by_path: str = ""
    vendor_id: str = ""
    product_id: str = ""
    serial: str = ""
    manufacturer: str = ""
    product: str = ""

    @property
    def is_hot_pluggable(self) -> bool:
        """Return whether it can be unplugged and gets another number when plugged in again."""
        name = self.path.removeprefix("/dev/")
        # Every USB driver has a major number of its own, whatever its nodes are called.
        return bool(_PLUGGED.fullmatch(name) or (self.vendor_id and not _ONBOARD.fullmatch(name)))

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names under which it can be requested.

        Without udev, earlier versions left out the port's number.
        """
        found = (self.device_id, self.device_id.removesuffix("-port0"), self.by_path, self.path)
        return tuple(name for name in found if name)


class SerialDevices:
    """Finds the serial devices below ``roots``. ``current`` are those of the last refresh.

    A refresh scans only if a folder or a known node has another time than before, and at the latest after ``rescan``
    refreshes, of which there is one ``every`` so many seconds.
    """

    def __init__(self, roots: Roots, rescan: int = 60, every: float = SCAN_SECONDS) -> None:
        self._roots = roots
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
        return tuple(sorted((device for device in found if device), key=lambda device: device.path))[:_LIMIT]

    def _nodes(self, linked: Container[str]) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self._roots.dev) as entries:
                yield from (entry for entry in entries if self._is_serial(entry.name, linked))
        except OSError:
            return

    def _is_serial(self, name: str, linked: Container[str]) -> bool:
        if _ONBOARD.fullmatch(name):
            # The kernel also creates nodes for absent ports (serial_core: type 0).
            return self._read(self._roots.sys / "class/tty" / name / "type") not in ("", "0")
        return name in linked or bool(_PLUGGED.fullmatch(name))

    def _links(self, folder: str) -> dict[str, str]:
        """Return udev's names by the name of the node they point to."""
        try:
            with os.scandir(self._roots.dev / "serial" / folder) as entries:
                pairs = [(node, entry.name) for entry in entries if (node := _target(entry))]
        except OSError:
            return {}
        # Several names may lead to one node; the first in order counts, so that it is the same in every scan.
        return dict(sorted(pairs, reverse=True))

    def _device(self, node: os.DirEntry[str], by_id: dict[str, str], by_path: dict[str, str]) -> SerialDevice | None:
        try:
            # A link to another node would list that port twice.
            status = node.stat(follow_symlinks=False)
        except OSError:
            return None  # unplugged in between
        if not stat.S_ISCHR(status.st_mode):
            return None
        usb = self._usb(node.name)
        facts = {
            field: self._read(usb / file) if usb else ""
            for field, file in (
                ("vendor_id", "idVendor"),
                ("product_id", "idProduct"),
                ("serial", "serial"),
                ("manufacturer", "manufacturer"),
                ("product", "product"),
            )
        }
        return SerialDevice(
            device_id=by_id.get(node.name) or self._derived_id(node.name, facts) or node.name,
            path=f"/dev/{node.name}",
            number=status.st_rdev,
            mode=stat.S_IMODE(status.st_mode),
            owner=status.st_uid,
            group=status.st_gid,
            by_path=by_path.get(node.name, ""),
            **facts,
        )

    def _usb(self, name: str) -> Path | None:
        """Return the sysfs folder of the USB device behind a node: the nearest parent with a vendor id."""
        start = self._roots.sys / "class/tty" / name / "device"
        try:
            real = start.resolve(strict=True)
        except OSError:
            return None
        root = self._roots.sys.resolve()
        above = [folder for folder in (real, *real.parents) if folder.is_relative_to(root)]
        return next((folder for folder in above if (folder / "idVendor").exists()), None)

    def _derived_id(self, name: str, facts: dict[str, str]) -> str:
        """Return the name that udev would give: bus, vendor, model, serial number, interface, port of the adapter."""
        if not facts["vendor_id"]:
            return ""
        vendor, product = facts["manufacturer"] or facts["vendor_id"], facts["product"] or facts["product_id"]
        words = [word.strip().replace(" ", "_") for word in (vendor, product, facts["serial"]) if word.strip()]
        interface = self._interface(name)
        # Only adapters of the usb-serial drivers number their ports; several of these may share an interface.
        port = self._read(self._roots.sys / "class/tty" / name / "device/port_number")
        suffix = f"-port{port}" if port else ""
        return _UNSAFE.sub("_", f"usb-{'_'.join(words)}-if{interface}{suffix}").replace("/", "_")

    def _interface(self, name: str) -> str:
        start = self._roots.sys / "class/tty" / name / "device"
        try:
            real = start.resolve(strict=True)
        except OSError:
            return "00"
        # A port is at most a few levels below its interface; farther up are hubs, which have interfaces as well.
        numbers = (self._read(folder / "bInterfaceNumber") for folder in (real, *list(real.parents)[:3]))
        return next((number for number in numbers if number), "00")

    @staticmethod
    def _read(path: Path) -> str:
        try:
            with path.open("rb") as file:
                # An adapter chooses its own strings: they may have any length and encoding.
                return file.read(_TEXT_LIMIT).decode(errors="replace").strip()
        except OSError:
            return ""


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


def find(devices: Iterable[SerialDevice], interface: str) -> SerialDevice | None:
    """Find a device by its id, its by-path name or its node, with or without the folder."""
    bare = interface.removeprefix("/dev/serial/by-id/").removeprefix("/dev/serial/by-path/")
    return next((device for device in devices if {interface, bare} & set(device.names)), None)
