"""The way of a packet from a runtime to its gateway, step by step, up to the first one that is broken.

Pure: from what was found (soundings.py) to sentences that say what to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from controller.api.runtime_status import InterfaceStatus
from controller.api.runtimes import Interface
from controller.network.interfaces import HostInterface
from controller.network.netns import Link


class Step(NamedTuple):
    """One step of the way; ``text`` says what was found, or what to mend."""

    subject: str
    ok: bool
    text: str


@dataclass(frozen=True)
class Container:
    """The container: Docker's word for its state, what its status says, and where the host reaches it."""

    state: str
    fault: str  # reason and message of the condition that is not as it should be
    internal_address: str = ""
    internal_reached: bool = False


@dataclass(frozen=True)
class NetworkFacts:
    """What was found of one interface. ``lower`` is what a VLAN stands on, ``link`` the interface inside.

    ``rival`` is another machine with the address; ``gateway_inside`` and ``gateway_outside`` are the MAC addresses that
    answer for the gateway, asked from the runtime and from the parent; "" when nobody does.
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
    wanted_servers: Sequence[str] = ()
    found_servers: Sequence[str] = ()


Check = Callable[[NetworkFacts], Step]


def container(found: Container) -> Iterator[Step]:
    """Whether it runs, and whether the host reaches it: `run_command` goes that way."""
    if found.state != "running":
        yield Step("container", False, f"it is {found.state or 'not there'}: {found.fault or 'start it'}")
        return
    yield Step("container", True, "it runs")
    if not found.internal_reached:
        where = found.internal_address or "no address"
        text = f"{where} is not reached from the host: see whether a firewall of the host forbids it"
        yield Step("internal network", False, text)
        return
    yield Step("internal network", True, f"the host reaches it at {found.internal_address}")


def interface(found: NetworkFacts) -> Iterator[Step]:
    """The steps of one interface; the last one is broken, or all is well."""
    for check in _CHECKS:
        step = check(found)
        yield step
        if not step.ok:
            return


def _parent(found: NetworkFacts) -> Step:
    name, there = found.desired.parent_interface, found.parent
    if there is None:
        offered = ", ".join(found.parents) or "none"
        return _broken(
            "parent", f"the host has no {name}: plug it in, or correct parentInterface (there are: {offered})"
        )
    if there.kind == "wifi":
        return _broken(
            "parent", f"{name} is Wi-Fi, and access points drop foreign MAC addresses: use a wired interface"
        )
    return _well("parent", f"{name} ({there.kind}, {there.mac_address})")


def _vlan(found: NetworkFacts) -> Step:
    lower = found.lower
    if found.parent is None or found.parent.kind != "vlan" or lower is None:
        return _well("VLAN", "the parent is none")
    if not lower.is_up or not lower.carrier:
        return _broken("VLAN", f"it stands on {lower.name}, which {_dead(lower)}")
    return _well("VLAN", f"it stands on {lower.name}")


def _carrier(found: NetworkFacts) -> Step:
    parent = found.parent
    if parent and not (parent.is_up and parent.carrier):
        return _broken("carrier", f"{parent.name} {_dead(parent)}")
    speed = f" at {parent.speed} Mbit/s" if parent and parent.speed else ""
    return _well("carrier", f"there is one{speed}")


def _dead(interface: HostInterface) -> str:
    if not interface.is_up:
        return f"is down: run `ip link set {interface.name} up`"
    return "has no carrier: plug its cable in, or see whether the switch's port is on"


def _link(found: NetworkFacts) -> Step:
    name, link = found.desired.name, found.link
    if link is None:
        return _broken(
            "link", f"{name} is not in the runtime: see that the controller runs, it makes it within a minute"
        )
    if found.parent_number and link.parent_index not in (0, found.parent_number):
        return _broken(
            "link",
            f"{name} stands on another interface than {found.desired.parent_interface}: see that the controller runs",
        )
    if not link.up:
        return _broken("link", f"{name} is down inside the runtime: see whether its program took it down")
    return _well("link", f"{link.name} ({link.mac_address})")


def _address(found: NetworkFacts) -> Step:
    held = [str(address.ip) for address in found.link.addresses] if found.link else []
    if found.desired.mode == "Dhcp":
        if not held:
            return _broken(
                "address", "no DHCP server gave one: see that one serves this LAN, and that its pool is not empty"
            )
        lease = found.status.lease if found.status else None
        return _well("address", f"{held[0]}, leased by {lease.server if lease else 'a server'}")
    if found.desired.address not in held:
        text = f"it has {', '.join(held) or 'none'} instead of {found.desired.address}: see that the controller runs"
        return _broken("address", text)
    return _well("address", f"{held[0]}")


def _alone(found: NetworkFacts) -> Step:
    if found.rival:
        return _broken("conflict", f"{found.rival} has the address too: take that machine off, or give another address")
    return _well("conflict", "nobody else has the address")


def _route(found: NetworkFacts) -> Step:
    if not found.gateway:
        return _well("gateway", "it has none: only its own subnet is reached over it")
    if found.desired.subnet and IPv4Address(found.gateway) not in IPv4Network(found.desired.subnet):
        return _broken("gateway", f"{found.gateway} is outside {found.desired.subnet}: correct gateway or subnet")
    if found.is_default and (found.gateway, found.desired.name) not in found.routes:
        return _broken("gateway", f"the default route does not go over {found.gateway}: see that the controller runs")
    what = (
        "the default route goes over" if found.is_default else "another interface has the default route; this one's is"
    )
    return _well("gateway", f"{what} {found.gateway}")


def _reach(found: NetworkFacts) -> Step:
    if not found.gateway:
        return _well("ARP", "there is no gateway to ask for")
    if found.gateway_inside:
        return _well("ARP", f"{found.gateway} answers ({found.gateway_inside})")
    if found.gateway_outside:
        text = (
            f"{found.gateway} answers the host but not the runtime: something lets no foreign MAC address through; "
            "allow promiscuous mode and forged transmits on the virtual switch, or more addresses on the switch's port"
        )
        return _broken("ARP", text)
    return _broken(
        "ARP", f"{found.gateway} answers nobody on this LAN: see that it is on, and that cable and VLAN are right"
    )


def _names(found: NetworkFacts) -> Step:
    if found.wanted_servers and list(found.found_servers) not in (list(found.wanted_servers), ["127.0.0.11"]):
        shown = ", ".join(found.found_servers) or "nobody"
        return _broken("DNS", f"the runtime asks {shown} instead of {', '.join(found.wanted_servers)}")
    return _well("DNS", f"it asks {', '.join(found.found_servers)}" if found.found_servers else "it asks nobody")


def _well(subject: str, text: str) -> Step:
    return Step(subject, True, text)


def _broken(subject: str, text: str) -> Step:
    return Step(subject, False, text)


_CHECKS: tuple[Check, ...] = (_parent, _vlan, _carrier, _link, _address, _alone, _route, _reach, _names)
