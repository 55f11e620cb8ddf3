"""Observes a runtime's container, interfaces and networks. Read-only; at most four engine calls and one ``ip``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from controller import boottime, errors, names
from controller.api import quantities, reasons, runtimes
from controller.backends.base import Target
from controller.backends.docker.containers import confinement, create_body, labels
from controller.backends.docker.containers.exits import ContainerExit, ContainerExits
from controller.backends.docker.containers.inventory import Container, is_of
from controller.backends.docker.containers.lifecycle import host_capacity
from controller.backends.docker.networking import dhcp_leases
from controller.backends.docker.networking.attachments import Attachments, uses_other_servers
from controller.backends.docker.networking.dedicated_interface import DedicatedLink
from controller.backends.docker.networking.endpoint_plan import Endpoint
from controller.backends.docker.parts import Parts
from controller.backends.observation import (
    Observed,
    ObservedDedicated,
    ObservedImage,
    ObservedInterface,
    ObservedNetwork,
)
from controller.container_root import NONE
from controller.network import desired_interface, interfaces, link_plan, resolver
from controller.network.desired_interface import DesiredInterface
from controller.network.interfaces import ABSENT, LinkState
from controller.network.netns import Namespace, Snapshot

_WIFI = "{} is Wi-Fi, and access points drop frames from other MAC addresses: set a wired parentInterface"
_NEVER = "0001-01-01T00:00:00Z"


class ContainerObserver:
    """Observes runtimes."""

    def __init__(
        self, parts: Parts, attachments: Attachments, interface_kind: Callable[[str], str], exits: ContainerExits
    ) -> None:
        self._containers = parts.containers
        self._networks = parts.networks
        self._attachments = attachments
        self._address_registry = parts.address_registry
        self._dedication = parts.dedication
        self._ports = parts.ports
        self._parents = parts.parents
        self._interface_kind = interface_kind
        self._exits = exits

    async def observe(self, target: Target) -> Observed:
        """Observe the current state. Raises errors.Waiting(DAEMON_UNREACHABLE) and Refusal."""
        self._parents.note(target.identity, (desired.parent_interface for desired in target.spec.interfaces))
        observed = await self._observe(target)
        self._address_registry.note(target.identity, observed.network.interfaces)
        interfaces = tuple(self._address_registry.with_conflict(found) for found in observed.network.interfaces)
        contested = ((found.awaits, found.detail) for found in interfaces if found.awaits == reasons.ADDRESS_CONFLICT)
        network = replace(observed.network, interfaces=interfaces)
        return replace(observed, network=network, start_blockers=(*observed.start_blockers, *contested))

    async def _observe(self, target: Target) -> Observed:
        identity = target.identity
        found, previous = await asyncio.gather(
            self._containers.named(identity.device_id), self._containers.previous(identity)
        )
        predecessor = previous.id if previous else ""
        if found and is_of(found, identity):
            return await self._container(target, found, predecessor)
        neighbour = labels.taken_message(found.labels, identity.install_id) if found else ""
        renamed = await self._containers.renamed(target)
        observed = await (self._container(target, renamed, predecessor) if renamed else self._absent(target))
        return replace(
            observed,
            renamed=renamed.name if renamed else "",
            neighbour=neighbour,
            foreign=found.describe() if found and not neighbour else "",
            predecessor=predecessor,
        )

    async def _absent(self, target: Target) -> Observed:
        desired_interfaces = create_body.desired_interfaces(target, {})
        dedicated = await self._dedication.observe(target, NONE)
        return Observed(
            start_blockers=await self._start_blockers(target, desired_interfaces, dedicated, running=False),
            dedicated=ObservedDedicated(passed_through=dedicated.passed_through),
            leftovers=await self._networks.internal_exists(target.identity),
            network=ObservedNetwork(
                missing_parents=self._parents.unavailable(desired.parent for desired in desired_interfaces)
            ),
            devices=await self._ports.observe(target, None),
        )

    async def _container(self, target: Target, container: Container, predecessor: str) -> Observed:
        desired_interfaces = self._attachments.desired_interfaces(target, container)
        interfaces = await self._interfaces(container, desired_interfaces)
        dedicated = await self._dedicated(target, container)
        unbounded = await self._lacks_memory_limit(container, target.spec.resources)
        internal = labels.internal_network_name(target.identity)
        return replace(
            _described(container, self._last_exit(container)),
            started_seconds=await asyncio.to_thread(boottime.process_start, container.pid) if container.pid else None,
            network=ObservedNetwork(
                interfaces=interfaces,
                missing_parents=self._parents.unavailable(desired.parent for desired in desired_interfaces),
                internal_ip=container.address_on(internal),
                internal_attached=internal in {endpoint.network for endpoint in container.endpoints},
            ),
            devices=await self._ports.observe(target, container),
            limits=_resources(container, target.spec.resources, unbounded=unbounded),
            predecessor=predecessor,
            start_blockers=await self._start_blockers(target, desired_interfaces, dedicated, running=container.running),
            dedicated=ObservedDedicated(dedicated.fault, dedicated.passed_through),
            warnings=_warnings(container, target, unbounded=unbounded),
        )

    async def _start_blockers(
        self, target: Target, desired_interfaces: Sequence[DesiredInterface], dedicated: DedicatedLink, *, running: bool
    ) -> tuple[tuple[str, str], ...]:
        """The reasons not to start it now."""
        should_run = running or target.spec.desired_state == "Running"
        self._address_registry.claim(target.identity, desired_interfaces if should_run else ())
        claimed = self._address_registry.claimed(target.identity, desired_interfaces) if should_run else None
        parents = dict.fromkeys(desired.parent for desired in desired_interfaces)
        kinds = await asyncio.to_thread(lambda: {name: self._interface_kind(name) for name in parents})
        return (
            *([dedicated.blocker] if dedicated.blocker else []),
            *((reasons.WIFI_PARENT, _WIFI.format(name)) for name, kind in kinds.items() if kind == "wifi"),
            *([claimed] if claimed else []),
        )

    async def _lacks_memory_limit(self, container: Container, desired: runtimes.Resources) -> bool:
        """Whether the engine dropped the desired limit because the host does not support one."""
        missing = quantities.memory_bytes(desired.memory) and not container.host_config.get("Memory")
        return bool(missing) and not await self._containers.can_limit_memory()

    async def _dedicated(self, target: Target, container: Container) -> DedicatedLink:
        try:
            return await self._dedication.observe(target, container.process)
        except errors.Retry:
            return DedicatedLink()  # it exited between two queries; its event triggers the next observation

    def _last_exit(self, container: Container) -> ContainerExit | None:
        """The exit of the last run, from our record of events once the engine has started the container again."""
        state = container.state
        finished = _time(state.get("FinishedAt"))
        if state["Status"] in ("exited", "restarting", "dead"):
            return ContainerExit(finished, state.get("ExitCode") or 0, bool(state.get("OOMKilled")))
        return self._exits.of(container.id, finished) if finished else None

    async def _interfaces(
        self, container: Container, desired_interfaces: Sequence[DesiredInterface]
    ) -> tuple[ObservedInterface, ...]:
        if container.state["Status"] != "running":
            return tuple(_stopped_interface(desired, container.endpoints) for desired in desired_interfaces)
        try:
            async with Namespace(container.process) as namespace:
                snapshot = await namespace.snapshot()
        except errors.Retry:
            # It exited between two queries; its event triggers the next observation.
            return tuple(_stopped_interface(desired, container.endpoints) for desired in desired_interfaces)
        servers = await asyncio.to_thread(resolver.name_servers, container.process)
        states = await asyncio.to_thread(_states, {desired.parent for desired in desired_interfaces})
        wrong_servers = not any(desired.pending for desired in desired_interfaces) and uses_other_servers(
            container, desired_interface.name_servers(desired_interfaces), servers
        )
        seen = _running_interfaces(desired_interfaces, container, snapshot, wrong_servers=wrong_servers)
        return tuple(_with_parent(found, states.get(found.parent_interface, ABSENT)) for found in seen)


def _described(container: Container, last_exit: ContainerExit | None) -> Observed:
    """The fields that the engine reports."""
    state, provenance = container.state, labels.provenance(container.labels)
    return Observed(
        state=state["Status"],
        container_id=container.id,
        image=ObservedImage(provenance.image, provenance.image_source),
        made_from=labels.made_from(container.labels),
        uid=container.labels.get(names.UID_LABEL, ""),
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")),
        exit_code=last_exit.exit_code if last_exit else None,
        oom_killed=bool(last_exit and last_exit.out_of_memory),
        error=state.get("Error", ""),
        restart_count=_restarts(container),
        health=(state.get("Health") or {}).get("Status", "none"),
    )


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


def _states(parents: Iterable[str]) -> dict[str, LinkState]:
    return {name: interfaces.state(name) for name in parents}


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


def _resources(container: Container, desired: runtimes.Resources, *, unbounded: bool) -> runtimes.Resources:
    """The limits. A limit of the whole host counts as none if none is desired, because engines cannot remove limits.

    ``unbounded``: the host cannot limit memory, so report the desired limit to avoid drift.
    """
    cpus, memory = host_capacity()
    nano, limit = container.host_config.get("NanoCpus") or 0, container.host_config.get("Memory") or 0
    if nano >= cpus * 10**9 and not quantities.nano_cpus(desired.cpu):
        nano = 0
    if limit >= memory and not quantities.memory_bytes(desired.memory):
        limit = 0
    limit = quantities.memory_bytes(desired.memory) if unbounded else limit
    return runtimes.Resources(cpu=f"{nano // 10**6}m" if nano else None, memory=str(limit) if limit else None)


def _restarts(container: Container) -> int:
    """The number of restarts: while a restart is pending the engine has already counted it."""
    counted = int(container.document.get("RestartCount") or 0)
    return max(0, counted - 1) if container.state["Status"] == "restarting" else counted


def _warnings(container: Container, target: Target, *, unbounded: bool) -> tuple[tuple[str, str], ...]:
    found = [(reasons.MEMORY_UNBOUNDED, reasons.meaning(reasons.MEMORY_UNBOUNDED))] if unbounded else []
    if target.spec.realtime.enabled and not labels.provenance(container.labels).realtime:
        found.append((reasons.REALTIME_UNAVAILABLE, reasons.meaning(reasons.REALTIME_UNAVAILABLE)))
    if excess := confinement.excess(container.host_config, has_ports=bool(target.spec.serial_ports)):
        remedy = f"`docker rm -f {container.name}` recreates it without them now, else the next replacement does"
        found.append((reasons.EXCESS_RIGHTS, f"The container has excess rights, it may {excess}: {remedy}"))
    return tuple(found)


def _time(text: str | None) -> str:
    return text if text and text != _NEVER else ""
