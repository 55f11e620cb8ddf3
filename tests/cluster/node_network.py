"""The network between the host and the nodes of its cluster: a bridge in its own network namespace.

The nodes' frames bypass the host's firewall. Nodes have no default route, so none of their traffic leaves the machine.
The network disappears with the process that holds the namespace.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from tests.cluster.daemon import Daemon
from tests.support.command import run

POD_NETWORKS = 4  # /26 networks, one per node: the maximum number of nodes
_BRIDGE = "nodes"


class NodeNetwork:
    """A network. ``name`` is the host's link to it; ``folder`` (absolute) identifies the process that holds it."""

    def __init__(self, name: str, folder: Path) -> None:
        self._link = name
        self._holder = Daemon("network", folder, ["unshare", "--net", "tail", "-f", f"{folder}/network.log"])
        self._holder.wait_until(lambda: is_apart(self._holder.process_id, "net"), seconds=30)
        inside("net", self._holder.process_id, "ip", "link", "add", "name", _BRIDGE, "up", "type", "bridge")
        run(
            "ip",
            "link",
            "add",
            "name",
            name,
            "type",
            "veth",
            "peer",
            "name",
            "host",
            "netns",
            str(self._holder.process_id),
        )
        self._plug("host")
        number = _index(name)
        # Ranges that do not overlap the tests' LANs (10.64.0.0/10) and internal networks (10.213.0.0/16).
        self._nodes = ipaddress.IPv4Network(f"10.{128 + number // 256 % 64}.{number % 256}.0/24")
        self.pods = ipaddress.IPv4Network(f"100.{64 + number // 256 % 64}.{number % 256}.0/24")
        run("ip", "address", "add", f"{self.host_address}/24", "dev", name)
        run("ip", "link", "set", "dev", name, "up")

    @property
    def host_address(self) -> str:
        """The host's address, where the API server listens."""
        return str(self._nodes[1])

    def address(self, number: int) -> str:
        """The address of the node with this number, from 1."""
        return str(self._nodes[10 + number])

    def pods_of(self, number: int) -> ipaddress.IPv4Network:
        """The network of this node's pods."""
        return list(self.pods.subnets(new_prefix=26))[number - 1]

    def connect(self, number: int, process: int, services: str) -> None:
        """Connect the network namespace of ``process``: a link, its address, and the routes to other nodes' pods."""
        link, address = f"node{number}", self.address(number)
        self._inside("ip", "link", "add", "name", link, "type", "veth", "peer", "name", "eth0", "netns", str(process))
        self._plug(link)
        for arguments in (
            ("link", "set", "dev", "lo", "up"),
            ("address", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "dev", "eth0", "up"),
            # kube-proxy translates a service's address into a pod's after routing, so any route is fine.
            ("route", "add", services, "dev", "eth0"),
            *(
                ("route", "add", str(self.pods_of(other)), "via", self.address(other))
                for other in range(1, POD_NETWORKS + 1)
                if other != number
            ),
        ):
            inside("net", process, "ip", *arguments)
        run("ip", "route", "replace", str(self.pods_of(number)), "via", address)

    def set_cable(self, number: int, *, plugged: bool) -> None:
        """Disconnect a node from the network, or connect it again."""
        self._inside("ip", "link", "set", "dev", f"node{number}", "up" if plugged else "down")

    def _plug(self, link: str) -> None:
        self._inside("ip", "link", "set", "dev", link, "master", _BRIDGE, "up")

    def _inside(self, *command: str) -> None:
        inside("net", self._holder.process_id, *command)


def inside(namespaces: str, process: int, *command: str) -> str:
    """Run a command in namespaces of a process (net, mount, uts; separated by commas) and return its output."""
    return run(*enter(namespaces, process), *command, timeout=120).stdout


def enter(namespaces: str, process: int) -> list[str]:
    """The prefix of a command line that enters namespaces of a process."""
    return ["nsenter", f"--target={process}", *(f"--{one}" for one in namespaces.split(",")), "--"]


def is_apart(process: int, namespace: str) -> bool:
    """Whether a process is in another namespace of this kind (net, mnt, uts) than we are."""
    there, here = Path(f"/proc/{process}/ns/{namespace}"), Path(f"/proc/self/ns/{namespace}")
    return there.readlink() != here.readlink()


def _index(link: str) -> int:
    (found,) = json.loads(run("ip", "-j", "link", "show", "dev", link).stdout)
    return int(found["ifindex"])
