"""A process in its own network namespace, which looks like a container to the DHCP client, without an engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from controller.network import addresses
from controller.network.dhcp.client import Link
from controller.network.dhcp.requests import Client
from tests.support.command import run
from tests.support.lan import Lan
from tests.support.processes import bare


def _namespace_of(pid: str) -> int:
    """Return the inode of a process's network namespace."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


class BareContainer:
    """A process with one macvlan link, ``lan0``, on the LAN; ``link`` and ``client`` are the inputs of DHCP."""

    def __init__(self, lan: Lan, mac: str) -> None:
        self._process = subprocess.Popen(["unshare", "--net", "setpriv", "--pdeathsig", "KILL", "sleep", "1000"])
        pid = str(self._process.pid)
        while _namespace_of(pid) == _namespace_of("self"):
            assert self._process.poll() is None
        born = ("name", "edgetest", "link", lan.parent, "netns", pid, "address", mac)
        # Siblings hear each other only in the mode that the engine and the controller use.
        run("ip", "link", "add", *born, "type", "macvlan", "mode", "bridge")
        run("nsenter", "-t", pid, "-n", "ip", "link", "set", "edgetest", "name", "lan0")
        # The kernel removes a namespace's links, and their addresses, some time after its end.
        while run("nsenter", "-t", pid, "-n", "ip", "link", "set", "lan0", "up", check=False).returncode:
            assert self._process.poll() is None
        self.client = Client(addresses.mac_bytes(mac), f"plc-{pid}")
        self.link = Link(bare(self._process.pid), "lan0", 7)

    def take(self, address: str) -> None:
        """Give the link this address, with its prefix length."""
        run("nsenter", "-t", str(self.link.process.pid), "-n", "ip", "address", "add", address, "dev", "lan0")

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait(20)
