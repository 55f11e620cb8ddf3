"""Serial devices for tests, in folders that play the host's /dev and /sys.

The nodes are real: their numbers are those of virtual consoles, whose screens (vcs(4)) are the far end.
"""

from __future__ import annotations

import fcntl
import os
import stat
import termios
from pathlib import Path

from controller.devices.serial import Roots

_CONSOLE, _SCREEN = 4, 7  # major numbers (kernel: devices.txt)


class Far:
    """The far end of a port, to read what was written and to type; a context manager.

    A test that needs two takes 61 and 62 as ``minor``; each worker process of pytest has consoles of its own.
    """

    def __init__(self, folder: Path, minor: int) -> None:
        minor -= 2 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self.number = os.makedev(_CONSOLE, minor)
        self._console = folder / f"console{minor}"
        self._screen = folder / f"screen{minor}"
        self._minor = minor

    def __enter__(self) -> Far:
        os.mknod(self._console, stat.S_IFCHR | 0o600, self.number)
        os.mknod(self._screen, stat.S_IFCHR | 0o600, os.makedev(_SCREEN, self._minor))
        # The kernel deallocates a console without users.
        self._open = os.open(self._console, os.O_RDWR | os.O_NOCTTY)
        os.write(self._open, b"\033[2J\033[H")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._open)

    def received(self) -> str:
        """Return what was written to the port."""
        return self._screen.read_bytes().decode(errors="replace").strip()

    def type(self, text: str) -> None:
        """Send a line to the port."""
        for letter in f"{text}\n".encode():
            fcntl.ioctl(self._open, termios.TIOCSTI, bytes([letter]))


class Host:
    """The host's /dev and /sys in a folder."""

    def __init__(self, folder: Path) -> None:
        self.roots = Roots(folder / "dev", folder / "sys")
        for made in ("dev/serial/by-id", "dev/serial/by-path", "sys/class/tty"):
            (folder / made).mkdir(parents=True)

    def plug(self, name: str, number: int, *, by_id: str = "", at: str = "1-1", **facts: str) -> None:
        """Plug in a USB adapter: create its node, udev's link, and its attributes (idVendor, serial, ...).

        ``at`` is the USB port: the number of the bus and those of the hubs' ports.
        """
        os.mknod(self.roots.dev / name, stat.S_IFCHR | 0o660, number)
        (self.roots.dev / name).chmod(0o660)
        if by_id:
            (self.roots.dev / "serial/by-id" / by_id).symlink_to(f"../../{name}")
            (self.roots.dev / "serial/by-path" / f"platform-usb-0:1:1.0-{name}").symlink_to(f"../../{name}")
        port = self.roots.sys / f"devices/usb1/{at}/{at}:1.0" / name
        port.mkdir(parents=True)
        (port.parent / "bInterfaceNumber").write_text("00\n")
        for file, text in facts.items():
            (port.parents[1] / file).write_text(f"{text}\n")
        tty = self.roots.sys / "class/tty" / name
        tty.mkdir()
        (tty / "device").symlink_to(port)

    def unplug(self, name: str) -> None:
        """Unplug it."""
        for link in [*(self.roots.dev / "serial").glob("*/*")]:
            if link.readlink().name == name:
                link.unlink()
        (self.roots.dev / name).unlink()
        (self.roots.sys / "class/tty" / name / "device").unlink()
        (self.roots.sys / "class/tty" / name).rmdir()

    def board_port(self, name: str, kind: str) -> None:
        """Create an onboard port's node; ``kind`` "0" means that there is no hardware."""
        os.mknod(self.roots.dev / name, stat.S_IFCHR | 0o660, os.makedev(_CONSOLE, 64))
        tty = self.roots.sys / "class/tty" / name
        tty.mkdir()
        (tty / "type").write_text(f"{kind}\n")
