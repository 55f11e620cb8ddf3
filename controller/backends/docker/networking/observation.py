"""Observes a runtime's interfaces and internal network. Read-only: at most one engine call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import create_body, labels
from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.containers.observation import Facet
from controller.backends.docker.networking import dhcp_leases
from controller.backends.docker.networking.attachments import Attachments, uses_other_servers
from controller.backends.docker.networking.endpoint_plan import Endpoint
from controller.backends.docker.parts import Parts
from controller.backends.observation import Observed, ObservedInterface, ObservedNetwork
from controller.network import interfaces, link_plan, netns, resolver
from controller.network.desired_interface import DesiredInterface, name_servers
from controller.network.interfaces import ABSENT, LinkState
from controller.network.snapshot import Snapshot

_WIFI = "{} is Wi-Fi, and access points drop frames from other MAC addresses: set a wired parentInterface"


class _Reading(NamedTuple):
    """What the kernel says: kind and state of each parent, and the container's name servers and links if it runs."""

    kinds: Mapping[str, str]
    states: Mapping[str, LinkState]
    servers: tuple[str, ...]
    snapshot: Snapshot | None = None


class NetworkFacet(Facet):
    """The networks of all runtimes. ``interface_kind`` returns the kind of a host interface."""

    def __init__(self, parts: Parts, attachments: Attachments, interface_kind: Callable[[str], str]) -> None:
        self._networks = parts.networks
        self._leasing = parts.leasing
        self._address_registry = parts.address_registry
        self._parents = parts.parents
        self._attachments = attachments
        self._interface_kind = interface_kind

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add the networks, and what they have against a start. Raises Refusal."""
        self._parents.note(target.identity, (desired.parent_interface for desired in target.spec.interfaces))
        if container is None:
            desired_interfaces = create_body.desired_interfaces(target, {})
        else:
            desired_interfaces = self._attachments.desired_interfaces(target, container)
        found = await self._read(container, desired_interfaces)
        network = _network(target, container, desired_interfaces, found) if container else ObservedNetwork()
        missing_parents = self._parents.unavailable(desired.parent for desired in desired_interfaces)
        should_run = bool(container and container.running) or target.spec.desired_state == "Running"
        blockers = self._start_blockers(target, desired_interfaces, found.kinds, should_run=should_run)
        self._address_registry.note(target.identity, network.interfaces)
        seen = tuple(self._address_registry.with_conflict(each) for each in network.interfaces)
        # A leased address that another machine has is not used: the start need not wait for another one.
        used = [found for found in seen if found.address and found.awaits == reasons.ADDRESS_CONFLICT]
        contested = [(found.awaits, found.detail) for found in used]
        return replace(
            observed,
            network=replace(network, interfaces=seen, missing_parents=missing_parents),
            start_blockers=(*observed.start_blockers, *blockers, *contested),
        )

    def forget(self, identity: Identity) -> None:
        """Release the leases, addresses and parent interfaces of a removed runtime."""
        self._leasing.forget(identity)
        self._address_registry.forget(identity)
        self._parents.note(identity, ())

    async def _read(self, container: Container | None, desired_interfaces: Sequence[DesiredInterface]) -> _Reading:
        """Everything that is read from the kernel, in one thread."""
        read = partial(self._read_host, container, desired_interfaces)
        if container is None or container.state["Status"] != "running":
            return await asyncio.to_thread(read)
        try:
            on_host, snapshot = await netns.read(container.process, read)
        except errors.Retry:
            # It exited between two queries; its event triggers the next observation.
            return await asyncio.to_thread(read)
        return on_host._replace(snapshot=snapshot)

    def _read_host(self, container: Container | None, desired_interfaces: Sequence[DesiredInterface]) -> _Reading:
        parents = {desired.parent for desired in desired_interfaces}
        return _Reading(
            kinds={name: self._interface_kind(name) for name in parents},
            states={name: interfaces.state(name) for name in parents},
            servers=resolver.name_servers(container.process) if container and name_servers(desired_interfaces) else (),
        )

    def _start_blockers(
        self,
        target: Target,
        desired_interfaces: Sequence[DesiredInterface],
        kinds: Mapping[str, str],
        *,
        should_run: bool,
    ) -> list[tuple[str, str]]:
        """The reasons not to start it now."""
        self._address_registry.claim(target.identity, desired_interfaces if should_run else ())
        claimed = self._address_registry.claimed(target.identity, desired_interfaces) if should_run else None
        parents = dict.fromkeys(desired.parent for desired in desired_interfaces)
        wifi = [(reasons.WIFI_PARENT, _WIFI.format(name)) for name in parents if kinds[name] == "wifi"]
        return [*wifi, *([claimed] if claimed else [])]


def _network(
    target: Target, container: Container, desired_interfaces: Sequence[DesiredInterface], found: _Reading
) -> ObservedNetwork:
    internal = labels.internal_network_name(target.identity)
    return ObservedNetwork(
        interfaces=_interfaces(container, desired_interfaces, found),
        internal_ip=container.address_on(internal),
        internal_attached=internal in {endpoint.network for endpoint in container.endpoints},
    )


def _interfaces(
    container: Container, desired_interfaces: Sequence[DesiredInterface], found: _Reading
) -> tuple[ObservedInterface, ...]:
    if found.snapshot is None:
        return tuple(_stopped_interface(desired, container.endpoints) for desired in desired_interfaces)
    wrong_servers = uses_other_servers(container, desired_interfaces, found.servers)
    seen = _running_interfaces(desired_interfaces, container, found.snapshot, wrong_servers=wrong_servers)
    return tuple(_with_parent(each, found.states.get(each.parent_interface, ABSENT)) for each in seen)


def _running_interfaces(
    desired_interfaces: Sequence[DesiredInterface],
    container: Container,
    snapshot: Snapshot,
    *,
    wrong_servers: bool,
) -> tuple[ObservedInterface, ...]:
    faults = link_plan.faults(snapshot, desired_interfaces)
    configured = {endpoint.mac_address.lower(): endpoint for endpoint in container.endpoints}
    seen = []
    for desired in desired_interfaces:
        link = snapshot.by_mac(desired.mac_address)
        detail = faults.get(desired.name) or _address_fault(desired, configured.get(desired.mac_address))
        if not detail and wrong_servers and desired.name_servers:
            detail = "it uses other name servers"
        address = str(link.addresses[0].ip) if link and link.addresses else ""
        seen.append(dhcp_leases.with_lease(desired, _interface(desired, link is not None, address, detail)))
    return (*_surplus(snapshot, desired_interfaces, configured), *seen)


def _with_parent(seen: ObservedInterface, parent: LinkState) -> ObservedInterface:
    """Report an interface that is in order but whose parent has no link; it recovers together with the parent."""
    if not seen.in_order or not parent.number or parent.carrier:
        return seen
    what = "has no carrier: plug its cable in" if parent.up else "is down: run `ip link set {} up`"
    detail = f"{seen.parent_interface} {what.format(seen.parent_interface)}"
    return replace(seen, in_order=False, detail=detail, awaits=reasons.PARENT_DOWN)


def _address_fault(desired: DesiredInterface, endpoint: Endpoint | None) -> str:
    """The fault when Docker would assign another address at the next start, "" for none."""
    if endpoint is None or not labels.is_lan_name(endpoint.network):
        return ""
    if endpoint.address == (desired.interface.address or ""):
        return ""
    return f"Docker would assign {endpoint.address} to {desired.name} at the next start"


def _surplus(
    snapshot: Snapshot, desired_interfaces: Sequence[DesiredInterface], configured: Mapping[str, Endpoint]
) -> list[ObservedInterface]:
    """macvlan links that are not in the spec, created by Docker or by us."""
    wanted = {desired.mac_address for desired in desired_interfaces}
    # Leave networks alone that a person connected.
    foreign = {mac for mac, endpoint in configured.items() if not labels.is_lan_name(endpoint.network)}
    return [
        ObservedInterface(
            link.name, attached=True, mac_address=link.mac_address, in_order=False, detail="not in the spec"
        )
        for link in snapshot.links
        if link.kind == "macvlan" and link.mac_address not in wanted | foreign
    ]


def _stopped_interface(desired: DesiredInterface, endpoints: Sequence[Endpoint]) -> ObservedInterface:
    held = desired.interface.address in {endpoint.address for endpoint in endpoints}
    return _interface(desired, held, "", "" if held else "created at the next start")


def _interface(desired: DesiredInterface, attached: bool, address: str, detail: str) -> ObservedInterface:
    return ObservedInterface(
        name=desired.name,
        parent_interface=desired.parent,
        attached=attached,
        address=address,
        mac_address=desired.mac_address,
        gateway=desired.gateway,
        in_order=attached and not detail,
        detail=detail,
    )
