"""Diagnoses the network path from a runtime to its gateway, step by step, up to the first broken step.

Pure: turns the facts that probes.py collects into sentences that say what to repair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.api.runtime_status import RUNNING, InterfaceStatus
from controller.api.runtimes import Interface
from controller.network.interfaces import HostInterface
from controller.network.snapshot import Link


class Step(NamedTuple):
    """One step of the path; ``text`` says what was found, or what to repair."""

    subject: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Container:
    """The container: its state as Docker names it, its fault, and whether the host reaches it."""

    state: str
    fault: str  # reason and message of the Ready condition, unless it is True
    internal_address: str = ""
    internal_reached: bool = False


@dataclass(frozen=True)
class NetworkFacts:
    """The facts about one interface. ``lower`` is the interface under a VLAN, ``link`` the one in the container.

    ``rival`` is another machine with the same address. ``gateway_inside`` and ``gateway_outside`` are the MAC addresses
    that answer ARP requests for the gateway, sent from the runtime and from the parent; "" when there is no answer.
    """

    desired: Interface
    status: InterfaceStatus | None
    parents: Sequence[str]
    parent: HostInterface | None
    parent_number: int = 0
    lower: HostInterface | None = None
    link: Link | None = None
    rival: str = ""
    gateway: str = ""
    routes: Sequence[tuple[str, str]] = ()
    is_default: bool = False
    gateway_inside: str = ""
    gateway_outside: str = ""
    desired_servers: Sequence[str] = ()
    actual_servers: Sequence[str] = ()


Check = Callable[[NetworkFacts], Step]


def container(found: Container) -> Iterator[Step]:
    """Whether it runs, and whether the host reaches it, which `run_command` needs."""
    if found.state != RUNNING:
        yield Step("container", False, f"it is {found.state.lower() or 'missing'}: {found.fault or 'start it'}")
        return
    yield Step("container", True, "it runs")
    if not found.internal_reached:
        where = found.internal_address or "no address"
        text = f"the host cannot reach {where}: check whether a firewall on the host blocks it"
        yield Step("internal network", False, text)
        return
    yield Step("internal network", True, f"the host reaches it at {found.internal_address}")


def interface(found: NetworkFacts) -> Iterator[Step]:
    """The steps of one interface, up to the first broken one."""
    for check in _STEPS:
        step = check(found)
        yield step
        if not step.ok:
            return


def _parent(found: NetworkFacts) -> Step:
    name, there = found.desired.parent_interface, found.parent
    if there is None:
        offered = ", ".join(found.parents) or "none"
        return _broken(
            "parent", f"the host has no {name}: plug it in, or correct parentInterface (available: {offered})"
        )
    if there.kind == "wifi":
        return _broken(
            "parent", f"{name} is Wi-Fi, where access points drop foreign MAC addresses: use a wired interface"
        )
    return _ok("parent", f"{name} ({there.kind}, {there.mac_address})")


def _vlan(found: NetworkFacts) -> Step:
    lower = found.lower
    if found.parent is None or found.parent.kind != "vlan" or lower is None:
        return _ok("VLAN", "the parent is not a VLAN")
    if not lower.is_up or not lower.carrier:
        return _broken("VLAN", f"its lower interface {lower.name} {_down_reason(lower)}")
    return _ok("VLAN", f"on {lower.name}")


def _carrier(found: NetworkFacts) -> Step:
    parent = found.parent
    if parent and not (parent.is_up and parent.carrier):
        return _broken("carrier", f"{parent.name} {_down_reason(parent)}")
    speed = f" at {parent.speed} Mbit/s" if parent and parent.speed else ""
    return _ok("carrier", f"present{speed}")


def _down_reason(interface: HostInterface) -> str:
    if not interface.is_up:
        return f"is down: run `ip link set {interface.name} up`"
    return "has no carrier: plug in its cable, or check whether the switch port is enabled"


def _link(found: NetworkFacts) -> Step:
    name, link = found.desired.name, found.link
    if link is None:
        return _broken(
            "link", f"the runtime has no {name}: check that the controller runs; it creates it within a minute"
        )
    if found.parent_number and link.parent_index not in (0, found.parent_number):
        return _broken(
            "link",
            f"{name} is not on parent {found.desired.parent_interface}: check that the controller runs",
        )
    if not link.up:
        return _broken("link", f"{name} is down inside the runtime: check whether its program took it down")
    return _ok("link", f"{link.name} ({link.mac_address})")


def _address(found: NetworkFacts) -> Step:
    held = [str(address.ip) for address in found.link.addresses] if found.link else []
    if found.desired.mode == "Dhcp":
        if not held:
            return _broken(
                "address", "no DHCP server assigned one: check that one serves this LAN and has free addresses"
            )
        lease = found.status.lease if found.status else None
        return _ok("address", f"{held[0]}, leased from {lease.server if lease else 'a DHCP server'}")
    if found.desired.address not in held:
        text = f"it has {', '.join(held) or 'none'} instead of {found.desired.address}: check that the controller runs"
        return _broken("address", text)
    return _ok("address", f"{held[0]}")


def _conflict(found: NetworkFacts) -> Step:
    if found.rival:
        return _broken("conflict", f"{found.rival} has the same address: disconnect it, or choose another address")
    return _ok("conflict", "no other machine has the address")


def _route(found: NetworkFacts) -> Step:
    if not found.gateway:
        return _ok("gateway", "none: the interface reaches its own subnet only")
    if found.is_default and (found.gateway, found.desired.name) not in found.routes:
        return _broken("gateway", f"the default route is not via {found.gateway}: check that the controller runs")
    default = "default route" if found.is_default else "not the default route, which another interface has"
    return _ok("gateway", f"{found.gateway} ({default})")


def _outside(found: NetworkFacts) -> str:
    networks = [address.network for address in found.link.addresses[:1]] if found.link else []
    return "".join(f", which is outside {each}," for each in networks if IPv4Address(found.gateway) not in each)


def _reach(found: NetworkFacts) -> Step:
    if not found.gateway:
        return _ok("ARP", "there is no gateway")
    if found.gateway_inside:
        return _ok("ARP", f"{found.gateway} answers ({found.gateway_inside})")
    if found.gateway_outside:
        text = (
            f"{found.gateway} answers the host but not the runtime, so foreign MAC addresses are dropped on the way: "
            "allow promiscuous mode and forged transmits on the virtual switch, or more MAC addresses on the switch "
            "port"
        )
        return _broken("ARP", text)
    text = f"{found.gateway}{_outside(found)} does not answer on this LAN: check that it is on, its cable and the VLAN"
    return _broken("ARP", text)


def _names(found: NetworkFacts) -> Step:
    # 127.0.0.11 is Docker's own resolver, which forwards to the servers that the container was created with.
    if found.desired_servers and list(found.actual_servers) not in (list(found.desired_servers), ["127.0.0.11"]):
        actual = ", ".join(found.actual_servers) or "no server"
        return _broken("DNS", f"the runtime uses {actual} instead of {', '.join(found.desired_servers)}")
    return _ok("DNS", f"it uses {', '.join(found.actual_servers)}" if found.actual_servers else "it uses no server")


def _ok(subject: str, text: str) -> Step:
    return Step(subject, True, text)


def _broken(subject: str, text: str) -> Step:
    return Step(subject, False, text)


_STEPS: tuple[Check, ...] = (_parent, _vlan, _carrier, _link, _address, _conflict, _route, _reach, _names)
