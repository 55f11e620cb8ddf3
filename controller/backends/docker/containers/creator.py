"""Creates a runtime's container with its networks, without starting it.

Idempotent: keeps a container that exists already.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from functools import partial
from pathlib import Path
from typing import Any

from controller import errors
from controller.api import reasons
from controller.backends.base import Target
from controller.backends.docker.containers import confinement, create_body, labels, naming
from controller.backends.docker.containers.inventory import is_of
from controller.backends.docker.engine import failures
from controller.backends.docker.networking import endpoint_plan
from controller.backends.docker.parts import Parts

_IPV6 = Path("/proc/sys/net/ipv6")

log = logging.getLogger(__name__)


class ContainerCreator:
    """Creates containers. Remembers for the life of the process that the host refuses realtime."""

    def __init__(self, parts: Parts, pids_limit: int) -> None:
        self._engine = parts.engine
        self._networks = parts.networks
        self._containers = parts.containers
        self._address_registry = parts.address_registry
        self._ports = parts.ports
        self._parents = parts.parents
        self._pids_limit = pids_limit
        self._realtime_refused = False

    async def create(self, target: Target, provenance: labels.ContainerProvenance) -> Target:
        """Create the container; return the target with its MAC addresses.

        Raises Refusal, and errors.Waiting(ADDRESS_CONFLICT) when another runtime uses one of its addresses.
        """
        capabilities = await self._engine.capabilities()
        desired_interfaces = create_body.desired_interfaces(target, provenance.mac_addresses)
        self._address_registry.require_free(target.identity, desired_interfaces)
        macs = {desired.name: desired.mac_address for desired in desired_interfaces}
        provenance = dataclasses.replace(
            provenance, mac_addresses=macs, realtime=provenance.realtime and not self._realtime_refused
        )
        await self._require_volumes(target)
        await self._parents.provide(desired.parent for desired in desired_interfaces)
        planned = await self._networks.prepare(
            target.identity, lambda lans: endpoint_plan.at_creation(desired_interfaces, lans)
        )
        confined = confinement.at_creation(self._ports.rules(target.spec), self._pids_limit)
        has_ipv6 = await asyncio.to_thread(_IPV6.exists)
        body = create_body.body(target, provenance, planned.connect, capabilities, confined, has_ipv6=has_ipv6)
        await self._make_named(target, body, naming.display_name(provenance))
        return dataclasses.replace(target, mac_addresses={**target.mac_addresses, **macs})

    async def _require_volumes(self, target: Target) -> None:
        """Check that existing volumes do not belong to another runtime. Raises Refusal and errors.Stalled."""
        for volume in target.spec.volumes:
            name = labels.volume_name(target.identity, volume.name)
            try:
                found = await self._engine.call(partial(_inspect_volume, name=name))
            except failures.Refusal as refusal:
                if refusal.status != 404:
                    raise
            else:
                labels.require_owner(found.get("Labels"), target.identity, f"volume {name}")

    async def recreate_without_realtime(self, target: Target) -> None:
        """Recreate the stopped container unchanged except for realtime, which this host does not support."""
        log.warning("The host refuses realtime: recreating the container without it", extra={"runtime": target.name})
        self._realtime_refused = True
        refused = await self._containers.require(target.identity)
        provenance = labels.provenance(refused.labels)
        await self._engine.change(lambda client: client.remove_container(refused.id, force=True))
        values = create_body.secret_env(target.spec, refused.document["Config"].get("Env") or ())
        await self.create(dataclasses.replace(target, secret_env=values), provenance)

    async def _make_named(self, target: Target, body: dict[str, Any], name: str) -> None:
        """Create it from the pinned image in ``body``, referenced as ``name`` if that is the same image."""
        pin = body["Image"]
        if not await naming.resolves_to(self._engine, name, pin):
            name = pin
        await self._make(target, body | {"Image": name})
        if naming.is_movable(name) and not await naming.resolves_to(self._engine, name, pin):
            made = await self._containers.require(target.identity)
            await self._engine.change(lambda client: client.remove_container(made.id, force=True))
            await self._make(target, body)

    async def _make(self, target: Target, body: dict[str, Any]) -> None:
        name, internal = target.identity.device_id, labels.internal_network_name(target.identity)

        try:
            made = await self._engine.change(partial(_create, body=body, name=name))
            if internal not in body["NetworkingConfig"]["EndpointsConfig"]:
                await self._engine.change(lambda client: client.connect_container_to_network(made["Id"], internal))
        except failures.Refusal as refusal:
            if refusal.status != 409:
                raise
            await self._require_own(target, refusal)
            return
        log.info("Created container %s from %s", name, body["Image"], extra={"runtime": target.name})

    async def _require_own(self, target: Target, refusal: failures.Refusal) -> None:
        """Check that the runtime owns the container with its name. Raises Refusal, errors.Retry, errors.Stalled."""
        name = target.identity.device_id
        there = await self._containers.named(name)
        if there is None:  # an abandoned call is still creating or removing it
            message = f"The engine is still creating or removing the container {name}; retrying"
            raise errors.Retry(reasons.STEP_FAILED, message) from refusal
        if is_of(there, target.identity):
            return
        if neighbour := labels.taken_message(there.labels, target.identity.install_id):
            raise errors.Stalled(reasons.NAME_TAKEN, neighbour) from refusal
        raise refusal


def _create(client: Any, body: dict[str, Any], name: str) -> dict[str, Any]:
    return client.create_container_from_config(body, name)  # type: ignore[no-any-return]


def _inspect_volume(client: Any, name: str) -> dict[str, Any]:
    return client.inspect_volume(name)  # type: ignore[no-any-return]


def initial_provenance(target: Target, *, pulled: bool) -> labels.ContainerProvenance:
    """The provenance of a container that replaces no other. Raises errors.Retry without an image."""
    if target.image is None:
        raise errors.Retry(reasons.STEP_FAILED, "The image is not resolved yet")
    return labels.ContainerProvenance(target.image, target.spec.image_reference, {}, pulled=pulled)
