"""Creates a runtime's container with its networks, without starting it.

Idempotent: keeps a container that exists already.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from controller import boottime, errors
from controller.api import reasons
from controller.backends.base import Identity, Progress, Target
from controller.backends.docker.containers import create_body, labels
from controller.backends.docker.containers.inventory import Container, is_of
from controller.backends.docker.engine import failures
from controller.backends.docker.facets import Facets
from controller.backends.docker.images import pulling
from controller.backends.docker.images.images import Images
from controller.backends.docker.networking import endpoint_plan
from controller.backends.docker.parts import Parts
from controller.network.desired_interface import DesiredInterface

# An engine with other rights refuses no longer, and the attempt that tells costs the creation of one container.
REFUSED_SECONDS = 600.0

_IPV6 = Path("/proc/sys/net/ipv6")

log = logging.getLogger(__name__)


class ContainerCreator:
    """Creates containers. Remembers for a while that the host refuses realtime; ``clock`` must be monotonic."""

    def __init__(
        self,
        parts: Parts,
        facets: Facets,
        images: Images,
        pids_limit: int,
        clock: Callable[[], float] = boottime.now,
    ) -> None:
        self._engine = parts.engine
        self._networks = parts.networks
        self._containers = parts.containers
        self._address_registry = parts.address_registry
        self._facets = facets
        self._parents = parts.parents
        self._images = images
        self._pids_limit = pids_limit
        self._clock = clock
        self._realtime_refused_until = float("-inf")

    async def create(self, target: Target, progress: Progress) -> Target:
        """Create a container that replaces no other; return the target with its image and MAC addresses.

        Raises like ``create_from``, and like Images.resolve when the image is missing.
        """
        target = await self._images.provide(target, progress)
        return await self.create_from(target, self.initial_provenance(target))

    async def create_from(self, target: Target, provenance: labels.ContainerProvenance) -> Target:
        """Create a container, with the MAC addresses of ``provenance``; return the target with all MAC addresses.

        Raises Refusal, errors.Waiting(ADDRESS_CONFLICT) when another runtime uses one of its addresses, and
        errors.Stalled(ENGINE_ROOTLESS) when the engine cannot provide any.
        """
        desired_interfaces = create_body.desired_interfaces(target, provenance.mac_addresses)
        # The checks come first, so that what they refuse leaves no network or VLAN behind.
        await self._networks.require_lan_support(desired_interfaces)
        self._address_registry.require_free(target.identity, desired_interfaces)
        name, _ = await asyncio.gather(
            self._images.readable_name(provenance.image, provenance.image_source), self.require_volumes(target)
        )
        # Before the networks: Docker's macvlan driver would create a missing VLAN itself, without our mark.
        await self._parents.provide(desired.parent for desired in desired_interfaces)
        planned = await self._networks.prepare(
            target.identity, lambda lans: endpoint_plan.at_creation(desired_interfaces, lans)
        )
        macs = {desired.name: desired.mac_address for desired in desired_interfaces}
        realtime = provenance.realtime and self._clock() >= self._realtime_refused_until
        provenance = dataclasses.replace(provenance, mac_addresses=macs, realtime=realtime)
        body = await self._body(target, provenance, planned.connect)
        if not await self._create_and_connect(target, body | {"Image": name}, provenance.image):
            await self._remove(await self._containers.require(target.identity))
            await self._create_and_connect(target, body, provenance.image)
        return dataclasses.replace(target, mac_addresses={**target.mac_addresses, **macs})

    def initial_provenance(self, target: Target) -> labels.ContainerProvenance:
        """The provenance of a container that replaces no other. Raises errors.Retry without an image."""
        if target.image is None:
            raise errors.Retry(reasons.STEP_FAILED, "The image is not resolved yet")
        pulled = self._images.was_pulled(target.image)
        return labels.ContainerProvenance(target.image, target.spec.image_reference, {}, pulled=pulled)

    async def recreate_without_realtime(self, target: Target) -> None:
        """Recreate the stopped container unchanged except for realtime, which this host does not support."""
        log.warning("The host refuses realtime: recreating the container without it", extra={"runtime": target.name})
        self._realtime_refused_until = self._clock() + REFUSED_SECONDS
        refused = await self._containers.require(target.identity)
        await self._remove(refused)
        # A start reads no Secrets, so their values come from the container that is recreated.
        values = create_body.secret_env(target.spec, refused.document["Config"].get("Env") or ())
        target = dataclasses.replace(target, secret_env=values)
        await self.create_from(target, dataclasses.replace(labels.provenance(refused.labels), realtime=False))

    async def _body(
        self, target: Target, provenance: labels.ContainerProvenance, connected: Mapping[str, DesiredInterface]
    ) -> dict[str, Any]:
        return create_body.body(
            target,
            provenance,
            connected,
            await self._engine.capabilities(),
            self._facets.at_creation(target, self._pids_limit),
            has_ipv6=await asyncio.to_thread(_IPV6.exists),
        )

    async def require_volumes(self, target: Target) -> None:
        """Check that no volume of the spec belongs to another runtime. Raises Refusal and errors.Stalled."""
        await asyncio.gather(*(self._require_volume(target.identity, volume.name) for volume in target.spec.volumes))

    async def _require_volume(self, identity: Identity, volume: str) -> None:
        """Check that an existing volume does not belong to another runtime. Raises Refusal and errors.Stalled."""
        name = labels.volume_name(identity, volume)
        if found := await self._engine.find(partial(_inspect_volume, name=name)):
            labels.require_owner(found.get("Labels"), identity, f"volume {name}")

    async def _create_and_connect(self, target: Target, body: dict[str, Any], pin: str) -> bool:
        """Create the container and connect it to its internal network, or check that it exists and is ours.

        Returns whether its image has the pin.
        """
        name, internal = target.identity.device_id, labels.internal_network_name(target.identity)

        def create(client: Any) -> Any:
            return client.create_container_from_config(body, name)

        try:
            made = await self._engine.change(create)
            connected = self._connect(made["Id"], internal, body["NetworkingConfig"]["EndpointsConfig"])
            _, has_pin = await asyncio.gather(connected, self._has_pin(body["Image"], pin))
        except failures.Refusal as refusal:
            # The name may be taken by the container of an interrupted pass; a start connects what it lacks.
            if refusal.status != 409:
                raise
            await self._require_own(target, refusal)
            return await self._has_pin(body["Image"], pin)
        log.info("Created container %s from %s", name, body["Image"], extra={"runtime": target.name})
        return has_pin

    async def _has_pin(self, name: str, pin: str) -> bool:
        # Checked before, but the engine resolved the tag during the create: somebody may have moved it in between.
        return not pulling.is_movable(name) or await self._images.resolves_to(name, pin)

    async def _connect(self, container: str, network: str, connected: Mapping[str, Any]) -> None:
        if network not in connected:
            await self._engine.change(lambda client: client.connect_container_to_network(container, network))

    async def _remove(self, container: Container) -> None:
        await self._engine.change(lambda client: client.remove_container(container.id, force=True))

    async def _require_own(self, target: Target, refusal: failures.Refusal) -> None:
        """Check that the runtime owns the container with its name. Raises Refusal, errors.Retry, errors.Stalled."""
        name = target.identity.device_id
        there = await self._containers.named(name)
        if there is None:  # an abandoned call is still creating or removing it
            message = f"The engine is still creating or removing the container {name}; retrying"
            raise errors.Retry(reasons.STEP_FAILED, message) from refusal
        if is_of(there, target.identity):
            return
        # The engine names only the id of the other container; a person needs the Runtime that owns it.
        if neighbour := labels.taken_message(there.labels, target.identity.install_id):
            raise errors.Stalled(reasons.NAME_TAKEN, neighbour) from refusal
        raise refusal


def _inspect_volume(client: Any, name: str) -> dict[str, Any]:
    return client.inspect_volume(name)  # type: ignore[no-any-return]
