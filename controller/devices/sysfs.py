"""What sysfs tells about the host's serial devices (kernel: sysfs-class-tty, sysfs-bus-usb). Read-only; blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_UNSAFE = re.compile(r"[^A-Za-z0-9#+.:=@_/-]")  # characters that udev replaces in names
_TEXT_LIMIT = 128


class UsbFacts(NamedTuple):
    """Ids and texts of a USB device, and the names that are built from them; all "" without USB.

    ``usb_id`` is the name in /dev/serial/by-id, ``place`` that in /dev/serial/by-path.
    """

    vendor_id: str = ""
    product_id: str = ""
    serial: str = ""
    manufacturer: str = ""
    product: str = ""
    usb_id: str = ""
    place: str = ""


_FILES = ("idVendor", "idProduct", "serial", "manufacturer", "product")  # in the order of the facts


class Sysfs:
    """The tree at ``root``; ``name`` is everywhere the kernel's name of a node."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def has_hardware(self, name: str) -> bool:
        """Return whether a port on the board exists: the kernel also creates nodes for absent ones."""
        return _read(self._class(name) / "type") not in ("", "0")  # serial_core: type 0

    def usb_facts(self, name: str) -> UsbFacts:
        """Describe the USB device behind a node."""
        port = self._resolved(name)
        usb = self._above(port, "idVendor") if port else None
        if port is None or usb is None:
            return UsbFacts()
        facts = UsbFacts(*(_read(usb / file) for file in _FILES))
        # Only adapters of the usb-serial drivers number their ports; several of these may share an interface.
        number = _read(self._class(name) / "device/port_number")
        suffix = f"-port{number}" if number else ""
        usb_id = f"usb-{_words(facts)}-if{_interface_number(port)}{suffix}"
        return facts._replace(usb_id=_safe(usb_id), place=_safe(self._place(port, usb) + suffix))

    def _place(self, port: Path, usb: Path) -> str:
        """The physical port, as path_id of udev names it: the host controller, the hubs' ports, and the interface."""
        hub = next((folder for folder in usb.parents if re.fullmatch(r"usb[0-9]+", folder.name)), usb)
        controller = hub.parent
        try:
            bus = (controller / "subsystem").readlink().name
        except OSError:
            bus = "platform"
        ports = usb.name.partition("-")[2] or "0"
        below = (folder.name for folder in (port, *port.parents) if folder.name.startswith(f"{usb.name}:"))
        interface = next(below, "").partition(":")[2]
        return f"{bus}-{controller.name}-usb-0:{ports}:{interface}"

    def _class(self, name: str) -> Path:
        return self._root / "class/tty" / name

    def _resolved(self, name: str) -> Path | None:
        try:
            return (self._class(name) / "device").resolve(strict=True)
        except OSError:
            return None

    def _above(self, start: Path, file: str) -> Path | None:
        """The nearest folder at or above ``start`` that has this file."""
        root = self._root.resolve()
        folders = (folder for folder in (start, *start.parents) if folder.is_relative_to(root))
        return next((folder for folder in folders if (folder / file).exists()), None)


def _words(facts: UsbFacts) -> str:
    vendor, product = facts.manufacturer or facts.vendor_id, facts.product or facts.product_id
    words = (word.strip().replace(" ", "_") for word in (vendor, product, facts.serial) if word.strip())
    return "_".join(words)


def _interface_number(port: Path) -> str:
    # A port is at most a few levels below its interface; farther up are hubs, which have interfaces as well.
    numbers = (_read(folder / "bInterfaceNumber") for folder in (port, *list(port.parents)[:3]))
    return next((number for number in numbers if number), "00")


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).replace("/", "_")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # An adapter chooses its own strings: they may have any length and encoding.
            return file.read(_TEXT_LIMIT).decode(errors="replace").strip()
    except OSError:
        return ""
