"""A LAN of one's own: a network namespace that stands for the plant, and a host interface that leads to it.

The host's end of a veth pair is the parent of macvlan interfaces, as a NIC would be; the other end, in the
namespace, is the LAN's gateway, from which the tests ping and ask for MAC addresses. Needs root.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess

from tests.support import ownership
from tests.support.command import run

PREFIX = "el"
_INSIDE = "lan0"


class Lan:
    """One LAN with one parent interface; a context manager that removes both whatever happened.

    ``parent`` is the interface's name on the host, ``namespace`` the network namespace, ``gateway`` the address
    in it, ``subnet`` the LAN's /24: of 10.64.0.0/10, by the kernel's number of the parent, so that two LANs
    never share one.
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
        """The address of the namespace's end."""
        return str(self.subnet[1])

    def address(self, number: int) -> str:
        """The LAN's address with this host number, 2 to 254."""
        return str(self.subnet[number])

    def unplug(self) -> None:
        """Remove the parent interface, as when a USB adapter is pulled."""
        run("ip", "link", "delete", self.parent)

    def plug(self) -> None:
        """Bring the parent interface back under its old name."""
        self._connect()
        self._configure()

    def take(self, address: str) -> str:
        """Have another machine on the LAN take this address; its hardware address."""
        run("ip", "-n", self.namespace, "addr", "add", f"{address}/32", "dev", _INSIDE)
        (link,) = json.loads(run("ip", "-n", self.namespace, "-j", "link", "show", _INSIDE).stdout)
        return str(link["address"])

    def release(self, address: str) -> None:
        """Have that machine give it back."""
        run("ip", "-n", self.namespace, "addr", "del", f"{address}/32", "dev", _INSIDE)

    def neighbours(self) -> dict[str, str]:
        """The hardware addresses that the LAN knows, by address."""
        known = json.loads(run("ip", "-n", self.namespace, "-j", "neighbour", "show", "dev", _INSIDE).stdout)
        return {entry["dst"]: entry["lladdr"] for entry in known if "lladdr" in entry}

    def speak(self, address: str) -> None:
        """Have that machine ask for the gateway with this sender, as machines do all the time."""
        self._inside("arping", "-c", "1", "-w", "1", "-s", address, "-I", _INSIDE, self.address(254))

    def renumber(self) -> None:
        """Give the LAN another subnet, as when the plant's network is planned anew."""
        former = self.gateway
        self.subnet = ipaddress.IPv4Network((int(self.subnet.network_address) ^ 1 << 21, 24))
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", _INSIDE)
        run("ip", "-n", self.namespace, "addr", "del", f"{former}/24", "dev", _INSIDE)

    def set_up(self, *, up: bool) -> None:
        """Take the parent interface down or up, as a person would."""
        run("ip", "link", "set", self.parent, "up" if up else "down")

    def set_carrier(self, *, up: bool) -> None:
        """Pull or plug the cable: the LAN's end goes down, the parent stays up without a carrier."""
        run("ip", "-n", self.namespace, "link", "set", _INSIDE, "up" if up else "down")

    def rename(self, old: str, new: str) -> None:
        """Give the parent interface another name."""
        run("ip", "link", "set", old, "name", new)

    def ping(self, address: str, *, seconds: int = 5) -> bool:
        """Whether the address answers a ping from the LAN within this time."""
        return self._inside("ping", "-c", "1", "-i", "0.2", "-w", str(seconds), address).returncode == 0

    def mac_of(self, address: str, *, seconds: int = 5) -> str | None:
        """The MAC address, in lower case, that answers ARP for the address; None: nobody answers."""
        answer = self._inside("arping", "-f", "-w", str(seconds), "-I", _INSIDE, address).stdout
        found = re.search(r"\[([0-9A-Fa-f:]{17})\]", answer)
        return found[1].lower() if found else None

    def macs_of(self, address: str) -> set[str]:
        """All MAC addresses that answer ARP for the address."""
        answers = self._inside("arping", "-b", "-c", "2", "-w", "3", "-I", _INSIDE, address).stdout
        return {found.lower() for found in re.findall(r"\[([0-9A-Fa-f:]{17})\]", answers)}

    def second_parent(self) -> str:
        """Another interface of the host on this LAN, as of a second NIC on the same switch; its name."""
        name, ports = ownership.new_name(PREFIX), ("port0", "port1")
        run("ip", "link", "add", name, "type", "veth", "peer", "name", ports[1], "netns", self.namespace)
        self._more.append(name)
        # A switch takes the place of the cable's end, and its name.
        run("ip", "-n", self.namespace, "link", "set", _INSIDE, "down")
        run("ip", "-n", self.namespace, "link", "set", _INSIDE, "name", ports[0])
        run("ip", "-n", self.namespace, "addr", "flush", "dev", ports[0])
        run("ip", "-n", self.namespace, "link", "add", _INSIDE, "type", "bridge")
        for port in ports:
            run("ip", "-n", self.namespace, "link", "set", port, "master", _INSIDE, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", _INSIDE)
        run("ip", "-n", self.namespace, "link", "set", _INSIDE, "up")
        run("ip", "link", "set", name, "up")
        return name

    def remove(self) -> None:
        """Remove everything; twice is no harm."""
        for name in self._more:
            run("ip", "link", "delete", name, check=False)
        _remove(self.parent)

    def _connect(self) -> None:
        run("ip", "link", "add", self.parent, "type", "veth", "peer", "name", _INSIDE, "netns", self.namespace)

    def _configure(self) -> None:
        run("ip", "link", "set", self.parent, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.gateway}/24", "dev", _INSIDE)
        for link in (_INSIDE, "lo"):
            run("ip", "-n", self.namespace, "link", "set", link, "up")

    def _inside(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.namespace, *arguments, check=False)


def remove_orphans() -> None:
    """Remove the LANs of test runs that were killed."""
    for name in names():
        if ownership.is_orphan(name, PREFIX):
            _remove(name)


def names() -> set[str]:
    """Every link and network namespace on the machine whose name is one of ours."""
    links = {link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout)}
    namespaces = {line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.strip()}
    return {name for name in links | namespaces if ownership.owner(name, PREFIX) is not None}


def _remove(name: str) -> None:
    # The link first: the kernel takes down a namespace's links only some time after the namespace.
    run("ip", "link", "delete", name, check=False)
    run("ip", "netns", "delete", name, check=False)


def _subnet_of_link(name: str) -> ipaddress.IPv4Network:
    (link,) = json.loads(run("ip", "-j", "link", "show", name).stdout)
    number = link["ifindex"]
    return ipaddress.IPv4Network(f"10.{64 + number // 256 % 64}.{number % 256}.0/24")
