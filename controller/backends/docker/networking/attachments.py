"""Makes a container's interfaces match the spec in place: first Docker's endpoints, then the rest in its namespace.

Works on running and stopped containers, and never restarts one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from controller import errors
from controller.api import reasons
from controller.backends.base import Target
from controller.backends.docker.containers import create_body, labels
from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.networking import endpoint_plan
from controller.backends.docker.networking.endpoint_plan import Endpoint
from controller.backends.docker.parts import Parts
from controller.container_root import NONE, Process
from controller.network import link_reconciler, resolver
from controller.network.arp import sockets
from controller.network.desired_interface import DesiredInterface, name_servers

_DOCKERS_RESOLVER = ("127.0.0.11",)

log = logging.getLogger(__name__)


class Attachments:
    """Connects containers to their networks, and configures inside them what the engine cannot."""

    def __init__(self, parts: Parts) -> None:
        self._engine = parts.engine
        self._networks = parts.networks
        self._containers = parts.containers
        self._address_registry = parts.address_registry
        self._leasing = parts.leasing
        self._dedication = parts.dedication
        self._parents = parts.parents

    def expect_start(self, target: Target) -> None:
        """Begin the probe of the addresses that a start will take."""
        self._address_registry.expect(target.identity, create_body.desired_interfaces(target, {}))

    async def require_unclaimed(self, target: Target) -> Container:
        """The container to start. Raises errors.Waiting(ADDRESS_CONFLICT) when somebody uses an address of it."""
        _, container = await asyncio.gather(self.provide(target), self._containers.require(target.identity))
        await self._address_registry.require_unclaimed(target.identity, self.desired_interfaces(target, container))
        return container

    async def provide(self, target: Target) -> None:
        """Create the VLANs that its interfaces need, see Parents.provide."""
        await self._parents.provide(interfaces.parent_interface for interfaces in target.spec.interfaces)

    async def repair(self, target: Target, *, started: bool = False) -> None:
        """Repair every interface that can be repaired now; ``started``: after our start, which checked the addresses.

        Raises errors.Waiting(ADDRESS_CONFLICT) before any change when another runtime or machine uses an address, and
        errors.Waiting(PARENT_MISSING) after repairing the rest when an interface lacks its parent.
        """
        container = await self._containers.current(target.identity)
        # Also without a container: somebody may have removed it while it had an interface of the host.
        await self._dedication.recover(target.identity, container.process if container else NONE)
        if container is None:
            return
        if not started:
            await self.provide(target)
        desired_interfaces = self.desired_interfaces(target, container)
        if started:
            self._address_registry.require_free(target.identity, desired_interfaces)
        else:
            await self._address_registry.require_unclaimed(target.identity, desired_interfaces)
        if not started or not _is_arranged(target, container, desired_interfaces):
            changed = await self._repair_endpoints(target, container, desired_interfaces)
            # The probe takes long enough for the container to stop or start again.
            if changed or not started:
                container = await self._containers.require(target.identity)
        if container.state["Status"] == "running":
            await self._repair_running(target, container, started=started)
        if missing := dict.fromkeys(desired.parent for desired in desired_interfaces if not desired.parent_index):
            raise errors.Waiting(reasons.PARENT_MISSING, f"The host has no interface {', '.join(missing)}")

    async def reconnect(self, target: Target, refusal: failures.Refusal) -> None:
        """Repair a container whose start was refused because one of its networks is gone or unusable."""
        await self._networks.drop_unusable(refusal)
        await self.repair(target)

    def desired_interfaces(self, target: Target, container: Container) -> tuple[DesiredInterface, ...]:
        """Every interface of the spec with its MAC address on this container, its parent's index and its lease."""
        found = create_body.desired_interfaces(target, labels.mac_addresses(container.labels))
        indexes = self._parents.numbers(desired.parent for desired in found)
        placed = (replace(desired, parent_index=indexes[desired.parent]) for desired in found)
        return self._leasing.with_lease_states(target.identity, placed, container.process)

    async def _repair_endpoints(
        self, target: Target, container: Container, desired_interfaces: Sequence[DesiredInterface]
    ) -> bool:
        """Whether any endpoint was changed; a LAN network that the engine cannot use is created again."""
        try:
            return await self._arrange_endpoints(target, container, desired_interfaces)
        except failures.Refusal as refusal:
            if not await self._networks.drop_unusable(refusal):
                raise
            # Inspect again: the interrupted try may have changed some endpoints.
            container = await self._containers.require(target.identity)
            await self._arrange_endpoints(target, container, desired_interfaces)
            return True

    async def _arrange_endpoints(
        self, target: Target, container: Container, desired_interfaces: Sequence[DesiredInterface]
    ) -> bool:
        """Disconnect and connect what differs; whether anything did."""
        capabilities = await self._engine.capabilities()

        def can_pin(network: str, desired: DesiredInterface) -> bool:
            # An engine refuses what needs a missing parent, which would end the repair of the other interfaces.
            return bool(desired.parent_index) and pins_mac(container, network, desired, capabilities)

        arranged = await self._networks.prepare(
            target.identity,
            lambda lans: endpoint_plan.on_container(desired_interfaces, container.endpoints, lans, can_pin),
        )
        # Disconnect first: a network whose endpoint gets another address is in both lists.
        for endpoint in (*arranged.lost, *arranged.disconnect):
            await self._disconnect(container, endpoint)
        for network, desired in arranged.connect.items():
            # Two links cannot share a MAC address: we may have created one in place of Docker's.
            await _remove_link(container, desired.mac_address)
            await self._connect(container, network, create_body.endpoint(desired, capabilities, target.spec))
        internal = labels.internal_network_name(target.identity)
        present = {endpoint.network for endpoint in container.endpoints if endpoint not in arranged.lost}
        if internal not in present:
            await self._connect(container, internal, create_body.internal_endpoint(capabilities, target.spec))
        return bool(arranged.lost or arranged.disconnect or arranged.connect) or internal not in present

    async def _connect(self, container: Container, network: str, settings: dict[str, object]) -> None:
        body = {"Container": container.id, "EndpointConfig": settings}
        await self._engine.post(f"/networks/{network}/connect", body)
        log.info("Connected %s to network %s", container.name, network)

    async def _disconnect(self, container: Container, endpoint: Endpoint) -> None:
        # An engine loses track of a link that we renamed, and would leave it behind with its addresses.
        await _remove_link(container, endpoint.mac_address)
        await self._engine.change(
            lambda client: client.disconnect_container_from_network(container.id, endpoint.network, force=True)
        )
        log.info("Disconnected %s from network %s", container.name, endpoint.network)

    async def _repair_running(self, target: Target, container: Container, *, started: bool) -> None:
        # Not those of the caller: leases belong to one run, and the container may have another process since.
        desired_interfaces = self.desired_interfaces(target, container)
        links = [desired for desired in desired_interfaces if desired.parent_index]
        held = [endpoint.mac_address for endpoint in container.endpoints if endpoint.mac_address]
        # A parent that is missing may only have been renamed, so that its links still work.
        held += [desired.mac_address for desired in desired_interfaces if not desired.parent_index]
        if faults := await link_reconciler.reconcile_links(container.process, links, held):
            log.info("Repaired links: %s", "; ".join(faults), extra={"runtime": target.name})
        if faults or started:
            await _announce(container.process, links)
        await self._leasing.keep(target.identity, desired_interfaces, container.process)
        given = name_servers(desired_interfaces)
        found = await asyncio.to_thread(resolver.name_servers, container.process) if given else ()
        if uses_other_servers(container, desired_interfaces, found):
            await asyncio.to_thread(resolver.write, container.process, given)
            log.info("Wrote name servers of %s", container.name, extra={"runtime": target.name})
        # Last, because its refusal must not keep the other interfaces from being repaired.
        await self._dedication.place(target, container.process)


def _is_arranged(target: Target, container: Container, desired_interfaces: Sequence[DesiredInterface]) -> bool:
    """Whether the endpoints of a container that was just started are as desired."""
    internal = container.address_on(labels.internal_network_name(target.identity))
    return bool(internal) and endpoint_plan.is_arranged(
        desired_interfaces, container.endpoints, target.identity.install_id
    )


async def _remove_link(container: Container, mac_address: str) -> None:
    if container.pid and mac_address:
        await link_reconciler.remove_link(container.process, mac_address)


async def _announce(process: Process, links: Sequence[DesiredInterface]) -> None:
    """Announce the addresses on the LAN, so that switches and neighbours learn them at once."""
    try:
        await sockets.announce(process, links)
    except OSError as error:
        # No fault of the runtime: neighbours learn the address later, by their own ARP requests.
        log.info("Failed to announce addresses: %s", error.strerror)


def pins_mac(container: Container, network: str, desired: DesiredInterface, capabilities: Capabilities) -> bool:
    """Whether connecting this container to the network gives the interface its desired MAC address."""
    if capabilities.several_endpoints:
        return capabilities.connect_pins_mac
    # The one MAC address of such a container applies to the network of its NetworkMode only.
    own = container.document["Config"].get("MacAddress", "").lower() == desired.mac_address
    return own and container.host_config.get("NetworkMode") == network


def uses_other_servers(
    container: Container, desired_interfaces: Sequence[DesiredInterface], found: tuple[str, ...]
) -> bool:
    """Whether the runtime uses other name servers than the desired ones, when these are known and not none.

    Docker's own resolver (127.0.0.11) forwards to those that the container was created with.
    """
    desired = name_servers(desired_interfaces)
    if not desired or any(interface.pending for interface in desired_interfaces):
        return False
    given = tuple(container.host_config.get("Dns") or ())
    return found != desired and (found, given) != (_DOCKERS_RESOLVER, desired)
