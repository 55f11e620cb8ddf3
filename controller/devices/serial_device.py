"""A serial device of the host, and finding one by its names. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ONBOARD = re.compile(r"tty(S|AMA|mxc|O|THS|HS|sc|SC|AMP)[0-9]+")  # ports on the board
PLUGGED = re.compile(r"tty(USB|ACM|XRUSB|UL)[0-9]+")
_UDEVS = "usb-"  # how the names begin that udev builds from USB attributes
_FIRST_PORT = "-port0"


@dataclass(frozen=True)
class SerialDevice:
    """One present device. ``number`` is the kernel's device number, which changes every time the device is plugged in.

    ``mode``, ``owner`` and ``group`` are those of its node on the host. ``links`` are its names in /dev/serial.
    ``usb_id`` and ``place`` are built from its USB attributes and its physical port. ``is_twin``: its usb_id is also
    that of another device, or was.
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
    links: tuple[str, ...] = ()
    usb_id: str = ""
    place: str = ""
    is_twin: bool = False

    @property
    def is_hot_pluggable(self) -> bool:
        """Return whether it can be unplugged and gets another number when plugged in again."""
        name = self.path.removeprefix("/dev/")
        # Every USB driver has a major number of its own, whatever its nodes are called.
        return bool(PLUGGED.fullmatch(name) or (self.vendor_id and not ONBOARD.fullmatch(name)))

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names under which it can be requested."""
        return _without_gaps(*_both(self.device_id), *self.own_links, self.by_path, self.path)

    @property
    def own_links(self) -> tuple[str, ...]:
        """Return its names in /dev/serial that lead to no other device, also after a reboot."""
        return tuple(link for link in self.links if not (self.is_twin and link.startswith(_UDEVS)))

    @property
    def shared_names(self) -> tuple[str, ...]:
        """Return the names that may mean another device as well."""
        shared = (self.usb_id, *(link for link in self.links if link not in self.own_links))
        return _without_gaps(*(each for name in shared for each in _both(name))) if self.is_twin else ()


def find(devices: Iterable[SerialDevice], interface: str) -> SerialDevice | None:
    """Find a device by its id, a name in /dev/serial or its node, with or without the folder."""
    names = {interface, _bare(interface)}
    return next((device for device in devices if names & set(device.names)), None)


def find_sharing(devices: Iterable[SerialDevice], interface: str) -> list[SerialDevice]:
    """Find the equal devices of which one is meant by a name that none of them has alone."""
    present = [device for device in devices if device.is_twin]
    meant = {device.usb_id for device in present if _bare(interface) in device.shared_names}
    return [device for device in present if device.usb_id in meant]


def _bare(interface: str) -> str:
    return interface.removeprefix("/dev/serial/by-id/").removeprefix("/dev/serial/by-path/")


def _both(name: str) -> tuple[str, str]:
    """The name, and how earlier versions built it without udev: without the number of the port."""
    return name, name.removesuffix(_FIRST_PORT)


def _without_gaps(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
