"""Creates and removes networks: an internal bridge for each runtime, and LAN networks that runtimes share.

Only one task at a time creates or removes networks, so that a free subnet stays free until it is used, and a network
that was found is not removed before its use. Networks without our labels are never touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from typing import Any

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity
from controller.backends.docker.containers import labels
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.networking.endpoint_plan import EndpointPlan, LanNetworks, Network
from controller.network import addresses
from controller.network.desired_interface import DesiredInterface

log = logging.getLogger(__name__)

_ATTEMPTS = 8
# The engine fills in what a request leaves out from default-network-opts of daemon.json. With other values than these,
# its own defaults, the host could not reach the runtime on its internal address.
_REACHABLE = {
    "com.docker.network.bridge.gateway_mode_ipv4": "nat",
    "com.docker.network.bridge.inhibit_ipv4": "false",
}


class Networks:
    """``internal_pool`` is the range of the internal /28 networks."""

    def __init__(self, engine: Engine, install_id: str, internal_pool: IPv4Network) -> None:
        self._engine = engine
        self._install_id = install_id
        self._internal_pool = internal_pool
        self._one_at_a_time = asyncio.Lock()

    async def all(self) -> list[Network]:
        """Every network of the engine."""
        return [_network(entry) for entry in await self._engine.call(lambda client: client.networks())]

    async def used_parents(self) -> set[str]:
        """The parent interfaces of all networks, except of our own that no container uses: they are removed in time."""
        used = await self._engine.call(_used_networks)
        return {network.parent for network in await self.all() if network.name in used or not self._is_our_lan(network)}

    async def prepare(self, identity: Identity, plan: Callable[[LanNetworks], EndpointPlan]) -> EndpointPlan:
        """Create the internal network and those of the plan that ``plan`` makes for the engine's networks.

        Raises errors.Stalled(POOL_EXHAUSTED, NAME_TAKEN, ENGINE_ROOTLESS) and Refusal.
        """
        capabilities = await self._engine.capabilities()
        async with self._one_at_a_time:
            known = await self.all()
            planned = plan(LanNetworks(self._install_id, known, capabilities))
            await self.require_lan_support(planned.create)
            await self._ensure_internal(identity, known)
            for desired in planned.create:
                await self._create_lan(desired)
            return planned

    async def require_lan_support(self, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Check that the engine can provide these interfaces, if any. Raises errors.Stalled(ENGINE_ROOTLESS)."""
        # It would find no parent interface, or one of the same name in its own namespace, from which no LAN is reached.
        if desired_interfaces and await self._engine.is_rootless():
            raise errors.Stalled(reasons.ENGINE_ROOTLESS, reasons.meaning(reasons.ENGINE_ROOTLESS))

    async def remove_internal(self, identity: Identity) -> bool:
        """Remove the runtime's internal network; return whether it existed."""
        async with self._one_at_a_time:
            network = self._find(labels.internal_network_name(identity), await self.all())
            return network is not None and await self._remove(network)

    async def remove_unused_lans(self) -> list[str]:
        """Remove our LAN networks that no container has an endpoint on; return their names."""
        async with self._one_at_a_time:
            used = await self._engine.call(_used_networks)
            ours = [network for network in await self.all() if self._is_our_lan(network)]
            return [network.name for network in ours if network.name not in used and await self._remove(network)]

    async def drop_unusable(self, refusal: failures.Refusal) -> bool:
        """Remove the LAN network that the engine lists but cannot use, to be recreated; return whether it existed.

        An engine that starts while a parent interface is missing lists such networks, but never recovers them.
        """
        lost = failures.lost_network(refusal)
        async with self._one_at_a_time:
            ours = [network for network in await self.all() if self._is_our_lan(network)]
            found = next((network for network in ours if network.id == lost), None)
            return found is not None and await self._remove(found)

    async def of_install(self) -> list[str]:
        """The names of this installation's networks."""
        return [network.name for network in await self.all() if self._is_ours(network)]

    async def remove_all(self) -> list[str]:
        """Remove every network of this installation; return their names."""
        async with self._one_at_a_time:
            ours = [network for network in await self.all() if self._is_ours(network)]
            return [network.name for network in ours if await self._remove(network)]

    async def _ensure_internal(self, identity: Identity, known: list[Network]) -> None:
        name = labels.internal_network_name(identity)
        if found := self._find(name, known):
            labels.require_owner(found.labels, identity, f"network {name}")
            return None
        taken = [subnet for network in known for subnet in network.subnets]
        # A bridge on a subnet that the host routes elsewhere would cut the host off from that network.
        taken += await asyncio.to_thread(addresses.host_routes)
        for attempt, subnet in enumerate(addresses.free_subnets(self._internal_pool, taken)):
            try:
                return await self._create(name, "bridge", [{"Subnet": str(subnet)}], labels.of_internal(identity))
            except failures.Refusal as refusal:
                # Another program may have created a network since we listed them.
                if not failures.is_overlap(refusal) or attempt == _ATTEMPTS:
                    raise
        message = f"No /28 of {self._internal_pool} is free: enlarge EDGE_INTERNAL_POOL"
        raise errors.Stalled(reasons.POOL_EXHAUSTED, message)

    async def _create_lan(self, desired: DesiredInterface) -> None:
        subnet, parent = desired.subnet, desired.parent
        assert subnet is not None  # noqa: S101 - Docker provides static addresses only
        name = labels.lan_network_name(self._install_id, parent, subnet)
        # Docker reserves a gateway address in each pool, even if the LAN has none.
        gateway = desired.interface.gateway or addresses.spare_address(subnet, desired.interface.address)
        pools = [{"Subnet": str(subnet), "Gateway": gateway}]
        await self._create(name, "macvlan", pools, labels.of_lan(self._install_id), parent=parent)

    async def _create(
        self, name: str, driver: str, pools: list[dict[str, str]], given: dict[str, str], parent: str = ""
    ) -> None:
        # Engines below API 1.44 accept a second network of the same name without CheckDuplicate. A LAN is not Internal,
        # because its gateway is to be the default route.
        body: dict[str, Any] = {
            "Name": name,
            "Driver": driver,
            "CheckDuplicate": True,
            "Internal": driver == "bridge",
            "EnableIPv4": True,
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Config": pools},
            "Options": {"parent": parent} if parent else _REACHABLE,
            "Labels": given,
        }
        try:
            await self._engine.post("/networks/create", body)
        except failures.Refusal as refusal:
            if refusal.status != 400 or failures.is_overlap(refusal):
                raise
            raise failures.network_refused(refusal, of_spec=bool(parent)) from refusal
        log.info("Created network %s (%s)", name, ", ".join(pool["Subnet"] for pool in pools))

    async def _remove(self, network: Network) -> bool:
        try:
            await self._engine.change(lambda client: client.remove_network(network.id))
        except failures.Refusal as refusal:
            if refusal.status == 403 and self._is_our_lan(network):
                return False  # a container that is not ours joined it
            if refusal.status != 404:
                raise
        log.info("Removed network %s", network.name)
        return True

    def _find(self, name: str, known: list[Network]) -> Network | None:
        """Our network with this name, or None. Raises errors.Stalled(NAME_TAKEN) when it is not ours."""
        found = next((network for network in known if network.name == name), None)
        if found and not self._is_ours(found):
            message = f"The network {name} is not ours: rename or remove it"
            raise errors.Stalled(reasons.NAME_TAKEN, message)
        return found

    def _is_our_lan(self, network: Network) -> bool:
        return labels.is_lan(network.labels, self._install_id)

    def _is_ours(self, network: Network) -> bool:
        ours = labels.of_install(self._install_id)
        return all(network.labels.get(label) == value for label, value in ours.items())


def _network(entry: dict[str, Any]) -> Network:
    pools = (entry.get("IPAM") or {}).get("Config") or []
    subnets = [IPv4Network(pool["Subnet"], strict=False) for pool in pools if "." in pool.get("Subnet", "")]
    return Network(
        id=entry["Id"],
        name=entry["Name"],
        driver=entry.get("Driver", ""),
        parent=(entry.get("Options") or {}).get("parent", ""),
        subnets=tuple(subnets),
        gateways=tuple(pool["Gateway"] for pool in pools if pool.get("Gateway")),
        labels=entry.get("Labels") or {},
    )


def _used_networks(client: Any) -> set[str]:
    """Networks that a container has an endpoint on, or names in NetworkMode, without which it cannot start."""
    containers = client.containers(all=True)
    connected = {name for found in containers for name in (found.get("NetworkSettings") or {}).get("Networks") or {}}
    return connected | {(found.get("HostConfig") or {}).get("NetworkMode", "") for found in containers}
