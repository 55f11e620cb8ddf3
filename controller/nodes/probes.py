"""Collects the facts about the network path from a runtime to its gateway. Changes nothing.

Needs root to enter the container's network namespace.
"""

from __future__ import annotations

import asyncio
from functools import partial
from ipaddress import IPv4Address

from controller import names
from controller.api.runtime_status import RUNNING, InterfaceStatus
from controller.api.runtimes import Interface, Runtime
from controller.container_root import Process
from controller.machinery import conditions
from controller.network import addresses, interfaces, resolver, setns
from controller.network.arp import sockets
from controller.network.arp.guard import AddressGuard
from controller.network.arp.probe import GuardedAddress
from controller.network.interfaces import HostInterface, HostInterfaces
from controller.network.netns import Namespace
from controller.network.snapshot import Link, Snapshot
from controller.nodes.diagnosis import Container, NetworkFacts

_REACH_SECONDS = 2.0


async def container(runtime: Runtime, process: Process | None) -> Container:
    """The runtime's container; ``process`` is its first process, None when it does not run here."""
    status = runtime.status
    ready = conditions.find(status.conditions, names.READY)
    fault = f"{ready.reason}: {ready.message}" if ready and ready.status != "True" else ""
    if process is None:
        return Container("" if status.state == RUNNING else status.state or "", fault)
    address = status.internal_ip or ""
    return Container(RUNNING, fault, address, await _reached(address, runtime.spec.control_port.port))


async def interface(
    runtime: Runtime, desired: Interface, process: Process, host: HostInterfaces, guard: AddressGuard
) -> NetworkFacts:
    """The facts about one interface of a running runtime. Raises errors.Retry when the container ends meanwhile."""
    shown = {each.name: each for each in await asyncio.to_thread(host.snapshot, include_virtual=True)}
    status = {each.name: each for each in runtime.status.interfaces}
    async with Namespace(process) as namespace:
        snapshot = await namespace.snapshot()
    link = _link(snapshot, desired, status.get(desired.name))
    gateway = _gateway(desired, status.get(desired.name))
    gateways = [each.name for each in runtime.spec.interfaces if _gateway(each, status.get(each.name))]
    inside = await _who_has(gateway, link.name if link and link.up else "", process)
    parent = shown.get(desired.parent_interface)
    return NetworkFacts(
        desired=desired,
        status=status.get(desired.name),
        parents=[name for name, each in shown.items() if interfaces.may_be_parent(each.kind)],
        parent=parent,
        parent_number=interfaces.index(desired.parent_interface),
        lower=await asyncio.to_thread(_lower, desired.parent_interface, shown),
        link=link,
        rival=await _rival(guard, desired, link),
        gateway=gateway,
        routes=snapshot.default_routes,
        is_default=gateways[:1] == [desired.name],
        gateway_inside=inside,
        # An answer here, when there was none inside, shows that foreign MAC addresses are dropped on the way.
        gateway_outside="" if inside else await _who_has(gateway, parent.name if parent else ""),
        desired_servers=desired.dns,
        actual_servers=await asyncio.to_thread(resolver.name_servers, process),
    )


def _link(snapshot: Snapshot, desired: Interface, status: InterfaceStatus | None) -> Link | None:
    """The link by its MAC address, as the controller finds it; by name while the MAC address is unknown."""
    mac_address = status.mac_address if status and status.mac_address else desired.mac_address
    if mac_address:
        return snapshot.by_mac(mac_address)
    return next((link for link in snapshot.links if link.name == desired.name), None)


def _gateway(desired: Interface, status: InterfaceStatus | None) -> str:
    return desired.gateway or (status.gateway if status else "")


def _lower(name: str, shown: dict[str, HostInterface]) -> HostInterface | None:
    return next((shown[lower] for lower in interfaces.lower(name) if lower in shown), None)


async def _rival(guard: AddressGuard, desired: Interface, link: Link | None) -> str:
    """The MAC address of another machine that answers ARP requests for the runtime's address, or ""."""
    if link is None or not link.addresses or not interfaces.index(desired.parent_interface):
        return ""
    mac = addresses.mac_bytes(link.mac_address)
    held = GuardedAddress(desired.parent_interface, link.addresses[0].ip, mac)
    return (await guard.probe([held])).get(held, "")


async def _who_has(address: str, link: str, process: Process | None = None) -> str:
    """The MAC address that answers an ARP request on a link of the host or ``process``; "" if none, or on failure."""
    if not address or not link:
        return ""
    asking = partial(sockets.who_has, link, IPv4Address(address))
    try:
        return await asyncio.to_thread(partial(setns.inside, process, asking) if process else asking)
    except OSError:
        return ""


async def _reached(address: str, port: int) -> bool:
    """Whether the address answers; refusing the connection is an answer too."""
    try:
        async with asyncio.timeout(_REACH_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return True
    # Includes the timeout: TimeoutError is an OSError.
    except OSError:
        return False
    writer.close()
    return True
