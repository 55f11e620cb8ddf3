"""Requests DHCP leases for a runtime's interfaces, and translates their state into observations.

Connects desired interfaces with the LeaseManager, which knows neither Docker nor specs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from controller.api import reasons
from controller.api.runtime_status import LeaseStatus
from controller.backends.base import Identity
from controller.backends.observation import ObservedInterface
from controller.container_root import Process
from controller.machinery import timestamps
from controller.network import addresses
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.client import Link
from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager
from controller.network.dhcp.leases import INFINITE, Lease
from controller.network.dhcp.machine import LeaseProblem
from controller.network.dhcp.requests import Client

_HOST_NAME_LIMIT = 63  # characters of one DNS label (RFC 1035, section 2.3.4)
_NOT_IN_HOST_NAMES = re.compile(r"[^a-z0-9-]+")

_AWAITED = {
    None: (reasons.ADDRESS_PENDING, "waiting for a DHCP server"),
    LeaseProblem.SILENT: (reasons.DHCP_SILENT, "no DHCP server answers"),
    LeaseProblem.DENIED: (reasons.LEASE_REFUSED, "the DHCP server refuses the address that it offers; asking again"),
    LeaseProblem.REFUSED: (reasons.LEASE_REFUSED, "the DHCP server withdrew the address; requesting another one"),
    LeaseProblem.TAKEN: (
        reasons.ADDRESS_CONFLICT,
        "the DHCP server assigned {}, but the machine {} has it: free or exclude it; requesting another one",
    ),
    LeaseProblem.EXPIRED: (reasons.LEASE_EXPIRED, "the lease expired and no DHCP server answers"),
}


class DhcpLeases:
    """The leases of all runtimes of one engine."""

    def __init__(self, manager: LeaseManager) -> None:
        self._manager = manager

    def with_lease_states(
        self, identity: Identity, desired_interfaces: Iterable[DesiredInterface], process: Process
    ) -> tuple[DesiredInterface, ...]:
        """The desired interfaces with the state of their leases, for the run of the container with this process."""
        return tuple(
            replace(desired, lease_state=self._manager.lease_state(_key(identity, desired), _link(desired, process)))
            if desired.leased
            else desired
            for desired in desired_interfaces
        )

    async def keep(self, identity: Identity, desired_interfaces: Iterable[DesiredInterface], process: Process) -> None:
        """Keep the leases of all interfaces whose parent exists. Raises errors.Retry(STEP_FAILED)."""
        for desired in desired_interfaces:
            if desired.leased and desired.parent_index:
                client = Client(addresses.mac_bytes(desired.mac_address), host_name(identity.device_id))
                await self._manager.keep(_key(identity, desired), _link(desired, process), client)

    def forget(self, identity: Identity) -> None:
        """Stop keeping the leases of a removed runtime."""
        self._manager.forget(identity.namespace, identity.device_id)


def host_name(device_id: str) -> str:
    """The device id as one label of a host name: many DHCP servers drop any other (RFC 1123 section 2.1)."""
    return _NOT_IN_HOST_NAMES.sub("-", device_id.lower()).strip("-")[:_HOST_NAME_LIMIT].rstrip("-")


def with_lease(desired: DesiredInterface, seen: ObservedInterface) -> ObservedInterface:
    """The observed interface with its lease, or with what it waits for."""
    if not desired.leased or not seen.attached:
        return seen
    lease_state = desired.lease_state
    if not lease_state.kept:
        return replace(seen, in_order=False, detail=seen.detail or "its lease is not kept")
    if lease_state.lease is None:
        # Another fault of the link is for us to repair: then the server is not what the interface waits for.
        awaits, detail = _AWAITED[lease_state.problem]
        if lease_state.declined is not None:
            detail = detail.format(lease_state.declined.address, lease_state.declined.mac.hex(":"))
        return replace(seen, in_order=False, detail=seen.detail or detail, awaits="" if seen.detail else awaits)
    observed = _observed(lease_state.lease)
    if lease_state.problem is LeaseProblem.UNRENEWED:
        return replace(seen, lease=_with_times(observed, lease_state.lease), remark=reasons.LEASE_UNRENEWED)
    return replace(seen, lease=observed)


def _observed(lease: Lease) -> LeaseStatus:
    return LeaseStatus(
        address=str(lease.address.ip),
        prefix_length=lease.address.network.prefixlen,
        gateway=str(lease.gateway or ""),
        dns=tuple(map(str, lease.name_servers)),
        server=str(lease.server),
        obtained_at=timestamps.rfc3339(lease.obtained),
    )


def _with_times(observed: LeaseStatus, lease: Lease) -> LeaseStatus:
    """The lease with the times that each renewal changes: as long as it is renewed, nothing has to be written."""
    expires_at = "" if lease.duration == INFINITE else timestamps.rfc3339(lease.expires)
    return observed.model_copy(update={"renewed_at": timestamps.rfc3339(lease.renewed), "expires_at": expires_at})


def _key(identity: Identity, desired: DesiredInterface) -> LeaseKey:
    return LeaseKey(identity.namespace, identity.device_id, desired.name)


def _link(desired: DesiredInterface, process: Process) -> Link:
    # The parent's index is part of the link's identity: a parent that is back after a replug is another one.
    return Link(process, desired.name, desired.parent_index)
