"""A private LAN: a network namespace that plays the plant, and a host interface connected to it.

The host's end of a veth pair is the parent of macvlan interfaces, like a NIC. The other end, in the namespace, is the
LAN's gateway, from which the tests ping and resolve MAC addresses. Needs root.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess

from tests.support import ownership
from tests.support.command import run

PREFIX = "el"
INSIDE = "lan0"


class Lan:
    """One LAN with one parent interface; a context manager that always removes both.

    ``parent`` is the interface's name on the host, ``namespace`` the network namespace, ``gateway`` its address, and
    ``subnet`` the LAN's /24 in 10.64.0.0/10, derived from the parent's ifindex so that two LANs never share one.
    """

    def __init__(self) -> None:
        name = ownership.new_name(PREFIX)
        self.parent = name
        self.namespace = name
        self.subnet = ipaddress.IPv4Network("10.64.0.0/24")
        self._more: list[str] = []

    def __enter__(self) -> Lan:
        try:
            run("ip", "netns", "add", self.namespace)
            self._connect()
            self.subnet = _subnet_of_link(self.parent)
            self._configure()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def gateway(self) -> str:
        """The address of the namespace's end of the pair."""
        return str(self.subnet[1])

    def address(self, number: int) -> str:
        """Return the LAN's address with this host number, 2 to 254."""
        return str(self.subnet[number])

    def unplug(self) -> None:
        """Remove the parent interface, like unplugging a USB adapter."""
        run("ip", "link", "delete", self.parent)

    def plug(self) -> None:
        """Create the parent interface again under its old name."""
        self._connect()
        self._configure()

    def take(self, address: str) -> str:
        """Let another machine on the LAN take this address; return its MAC address."""
        run("ip", "-n", self.namespace, "addr", "add", f"{address}/32", "dev", INSIDE)
        (link,) = json.loads(run("ip", "-n", self.namespace, "-j", "link", "show", INSIDE).stdout)
        return str(link["address"])

    def release(self, address: str) -> None:
        """Let that machine release the address."""
        run("ip", "-n", self.namespace, "addr", "del", f"{address}/32", "dev", INSIDE)

    def neighbours(self) -> dict[str, str]:
        """Return the MAC addresses that the LAN knows, by address."""
        known = json.loads(run("ip", "-n", self.namespace, "-j", "neighbour", "show", "dev", INSIDE).stdout)
        return {entry["dst"]: entry["lladdr"] for entry in known if "lladdr" in entry}

    def speak(self, address: str) -> None:
        """Let that machine send an ARP request for the gateway from this address, as hosts do all the time."""
        self._inside("arping", "-c", "1", "-w", "1", "-s", address, "-I", INSIDE, self.address(254))

    def renumber(self) -> None:
        """Change the LAN's subnet, as when a plant's network is redesigned."""
        former = self.gateway
        self.subnet = ipaddress.IPv4Network((int(self.subnet.network_address) ^ 1 << 21, 24))
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", INSIDE)
        run("ip", "-n", self.namespace, "addr", "del", f"{former}/24", "dev", INSIDE)

    def set_up(self, *, up: bool) -> None:
        """Set the parent interface down or up, as a person would."""
        run("ip", "link", "set", self.parent, "up" if up else "down")

    def set_carrier(self, *, up: bool) -> None:
        """Unplug or plug the cable: the LAN's end goes down, the parent stays up without a carrier."""
        run("ip", "-n", self.namespace, "link", "set", INSIDE, "up" if up else "down")

    def rename(self, old: str, new: str) -> None:
        """Rename the parent interface."""
        run("ip", "link", "set", old, "name", new)

    def ping(self, address: str, *, seconds: int = 5) -> bool:
        """Return whether the address answers a ping from the LAN within this time."""
        return self._inside("ping", "-c", "1", "-i", "0.2", "-w", str(seconds), address).returncode == 0

    def mac_of(self, address: str, *, seconds: int = 5) -> str | None:
        """Return the lower-case MAC address that answers ARP for the address, None without an answer."""
        answer = self._inside("arping", "-f", "-w", str(seconds), "-I", INSIDE, address).stdout
        found = re.search(r"\[([0-9A-Fa-f:]{17})\]", answer)
        return found[1].lower() if found else None

    def macs_of(self, address: str) -> set[str]:
        """Return all MAC addresses that answer ARP for the address."""
        answers = self._inside("arping", "-b", "-c", "2", "-w", "3", "-I", INSIDE, address).stdout
        return {found.lower() for found in re.findall(r"\[([0-9A-Fa-f:]{17})\]", answers)}

    def second_parent(self) -> str:
        """Add a second host interface on this LAN, like another NIC on the same switch; return its name."""
        name, ports = ownership.new_name(PREFIX), ("port0", "port1")
        run("ip", "link", "add", name, "type", "veth", "peer", "name", ports[1], "netns", self.namespace)
        self._more.append(name)
        # A bridge replaces the cable's end and takes its name.
        run("ip", "-n", self.namespace, "link", "set", INSIDE, "down")
        run("ip", "-n", self.namespace, "link", "set", INSIDE, "name", ports[0])
        run("ip", "-n", self.namespace, "addr", "flush", "dev", ports[0])
        run("ip", "-n", self.namespace, "link", "add", INSIDE, "type", "bridge")
        for port in ports:
            run("ip", "-n", self.namespace, "link", "set", port, "master", INSIDE, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", INSIDE)
        run("ip", "-n", self.namespace, "link", "set", INSIDE, "up")
        run("ip", "link", "set", name, "up")
        return name

    def remove(self) -> None:
        """Remove everything; idempotent."""
        for name in self._more:
            run("ip", "link", "delete", name, check=False)
        _remove(self.parent)

    def _connect(self) -> None:
        run("ip", "link", "add", self.parent, "type", "veth", "peer", "name", INSIDE, "netns", self.namespace)

    def _configure(self) -> None:
        run("ip", "link", "set", self.parent, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", INSIDE)
        for link in (INSIDE, "lo"):
            run("ip", "-n", self.namespace, "link", "set", link, "up")

    def _inside(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.namespace, *arguments, check=False)


def remove_orphans() -> None:
    """Remove the LANs of killed test runs."""
    for name in names():
        if ownership.is_orphan(name, PREFIX):
            _remove(name)


def names() -> set[str]:
    """Return all links and network namespaces on the machine with one of our names."""
    links = {link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout)}
    namespaces = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.strip()}
    return {name for name in links | namespaces if ownership.owner(name, PREFIX) is not None}


def _remove(name: str) -> None:
    # The link first: the kernel removes a namespace's links only some time after the namespace.
    run("ip", "link", "delete", name, check=False)
    run("ip", "netns", "delete", name, check=False)


def _subnet_of_link(name: str) -> ipaddress.IPv4Network:
    (link,) = json.loads(run("ip", "-j", "link", "show", name).stdout)
    number = link["ifindex"]
    return ipaddress.IPv4Network(f"10.{64 + number // 256 % 64}.{number % 256}.0/24")
