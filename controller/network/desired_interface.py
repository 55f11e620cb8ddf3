"""The interfaces of a spec as links inside the runtime, completed with MAC address, parent and lease. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from controller.api import runtimes
from controller.network import addresses
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.routes import Route

_MOST_NAME_SERVERS = 3  # resolv.conf(5) reads no more


@dataclass(frozen=True)
class DesiredInterface:
    """One interface of the spec with its MAC address, in lower case, and with the state of its lease if it has one.

    ``parent_index`` is the kernel's index of the parent interface, 0 while that does not exist or is not known.
    """

    interface: runtimes.Interface
    mac_address: str
    parent_index: int = 0
    lease_state: LeaseState = NOT_KEPT

    @property
    def name(self) -> str:
        """The name inside the runtime."""
        return self.interface.name

    @property
    def parent(self) -> str:
        """The name of the parent interface."""
        return self.interface.parent_interface

    @property
    def subnet(self) -> IPv4Network | None:
        """The subnet of the LAN, also of 10.0.0.5/24 as the cloud writes it; None without a static address."""
        given = self.interface.subnet if self.interface.address else None
        return IPv4Network(given, strict=False) if given else None

    @property
    def leased(self) -> bool:
        """Whether it gets its address by DHCP."""
        return self.interface.mode == "Dhcp"

    @property
    def pending(self) -> bool:
        """Whether DHCP has not decided its address and gateway yet; those that the link has stay."""
        return self.leased and not self.lease_state.settled

    @property
    def address(self) -> IPv4Interface | None:
        """The address of the spec, else of the lease; None when the link must not have one."""
        if self.subnet:
            return IPv4Interface(f"{self.interface.address}/{self.subnet.prefixlen}")
        return self.lease_state.lease.address if self.lease_state.lease else None

    @property
    def gateway(self) -> str:
        """The gateway of the spec, else of the lease; "" for none."""
        if not self.leased:
            return self.interface.gateway or ""
        lease = self.lease_state.lease
        if lease is None:
            return ""
        given, offered = self.interface.gateway or "", str(lease.gateway or "")
        # The spec may be about another LAN; but a lease of a single address tells nothing about it.
        alone = lease.address.network.num_addresses == 1
        return given if given and (alone or self.reaches(IPv4Address(given))) else offered or given

    def reaches(self, gateway: IPv4Address) -> bool:
        """Whether the gateway is in the subnet of the address; a route over it needs a flag otherwise."""
        return self.address is not None and gateway in self.address.network

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of the lease besides the default one."""
        lease = self.lease_state.lease
        return lease.routes if self.leased and lease else ()

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The name servers of the spec, else of the lease."""
        lease = self.lease_state.lease
        return self.interface.dns or (tuple(map(str, lease.name_servers)) if lease else ())


def of_spec(
    spec: runtimes.RuntimeSpec, identity: tuple[str, str, str], known: Mapping[str, str]
) -> tuple[DesiredInterface, ...]:
    """Every interface of the spec with its MAC address: that of the spec, else of ``known``, else derived."""
    return tuple(DesiredInterface(interface, _mac(interface, identity, known)) for interface in spec.interfaces)


def name_servers(desired_interfaces: Iterable[DesiredInterface]) -> tuple[str, ...]:
    """The name servers of all interfaces without duplicates, as many as a resolver uses."""
    found = dict.fromkeys(server for desired in desired_interfaces for server in desired.name_servers)
    return tuple(found)[:_MOST_NAME_SERVERS]


def _mac(interface: runtimes.Interface, identity: tuple[str, str, str], known: Mapping[str, str]) -> str:
    # What the LAN knows already comes before the derivation, which depends on the install id.
    given = interface.mac_address or known.get(interface.name)
    # In lower case, as the kernel prints it: links are found by comparing these texts.
    return (given or addresses.derived_mac(*identity, interface.name)).lower()
