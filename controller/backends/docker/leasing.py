"""The leases of a runtime's interfaces: where they are asked for, and what is told of them.

Between the wishes of a container and the keeper of leases, which knows neither Docker nor a spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from controller.backends.base import Identity, ObservedInterface, ObservedLease
from controller.backends.docker.arrangement import Wish
from controller.container_root import Process
from controller.network.dhcp.client import Link
from controller.network.dhcp.keeper import LeaseKeeper, LeaseKey
from controller.network.dhcp.leases import FOREVER, Lease
from controller.network.dhcp.machine import Client, Trouble
from controller.resources import reasons, timestamps

_HOST_NAME_LIMIT = 63

_AWAITED = {
    None: (reasons.ADDRESS_PENDING, "a DHCP server is being asked"),
    Trouble.SILENT: (reasons.DHCP_SILENT, "no DHCP server answers"),
    Trouble.REFUSED: (reasons.LEASE_REFUSED, "the DHCP server took the address back; it is asked for another one"),
    Trouble.EXPIRED: (reasons.LEASE_EXPIRED, "the lease ended and no DHCP server answered"),
}


class Leasing:
    """The leases of all runtimes of one engine."""

    def __init__(self, keeper: LeaseKeeper) -> None:
        self._keeper = keeper

    def standing(
        self, whose: Identity, wishes: Iterable[Wish], process: Process, parents: Mapping[str, int]
    ) -> tuple[Wish, ...]:
        """The wishes with how their leases stand, for the run of the container whose first one is ``process``."""
        return tuple(
            replace(wish, standing=self._keeper.standing(_key(whose, wish), _link(wish, process, parents)))
            if wish.leased
            else wish
            for wish in wishes
        )

    async def keep(self, whose: Identity, wishes: Iterable[Wish], process: Process, parents: Mapping[str, int]) -> None:
        """See that the leases of all links that can be there are kept. Raises errors.Retry(STEP_FAILED)."""
        for wish in wishes:
            link = _link(wish, process, parents)
            if wish.leased and link.parent_index:
                client = Client(bytes.fromhex(wish.mac_address.replace(":", "")), whose.device_id[:_HOST_NAME_LIMIT])
                await self._keeper.keep(_key(whose, wish), link, client)

    def forget(self, whose: Identity) -> None:
        """Ask no more for a runtime that is gone."""
        self._keeper.forget(whose.namespace, whose.device_id)


def told(wish: Wish, seen: ObservedInterface) -> ObservedInterface:
    """What was seen of a leased interface, with its lease and what it waits for."""
    if not wish.leased or not seen.attached:
        return seen
    standing = wish.standing
    if not standing.kept:
        return replace(seen, in_order=False, detail=seen.detail or "nobody keeps its lease")
    if standing.lease is None:
        awaits, detail = _AWAITED[standing.trouble]
        return replace(seen, in_order=False, detail=seen.detail or detail, awaits="" if seen.detail else awaits)
    remark = reasons.LEASE_UNRENEWED if standing.trouble is Trouble.UNRENEWED else ""
    return replace(seen, lease=_observed(standing.lease), remark=remark)


def _observed(lease: Lease) -> ObservedLease:
    return ObservedLease(
        address=str(lease.address.ip),
        prefix_length=lease.address.network.prefixlen,
        gateway=str(lease.gateway or ""),
        dns=tuple(map(str, lease.name_servers)),
        server=str(lease.server),
        obtained_at=timestamps.rfc3339(lease.obtained),
        renewed_at=timestamps.rfc3339(lease.renewed),
        expires_at="" if lease.duration == FOREVER else timestamps.rfc3339(lease.expires),
    )


def _key(whose: Identity, wish: Wish) -> LeaseKey:
    return LeaseKey(whose.namespace, whose.device_id, wish.interface.name)


def _link(wish: Wish, process: Process, parents: Mapping[str, int]) -> Link:
    return Link(process, wish.interface.name, parents.get(wish.interface.parent_interface, 0))
