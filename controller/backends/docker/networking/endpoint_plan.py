"""Plans which interfaces of a runtime Docker's networks provide, and which we create ourselves. Pure.

Docker's endpoints exist from the first moment of every start, even when the controller is down. So Docker provides
every interface that it can with the right MAC address: one per network, and below API 1.44 one in total. We create the
others in the container's network namespace after each start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network

from controller import errors
from controller.api import reasons, runtimes
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.capabilities import Capabilities
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.link_plan import WantedLink

_LAN_DRIVERS = ("macvlan", "ipvlan")


@dataclass(frozen=True)
class Network:
    """A network of the engine, ours or not."""

    id: str
    name: str
    driver: str
    parent: str = ""
    subnets: tuple[IPv4Network, ...] = ()
    gateways: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def overlaps(self, subnet: IPv4Network) -> bool:
        """Whether one of its pools overlaps the subnet."""
        return any(pool.overlaps(subnet) for pool in self.subnets)


@dataclass(frozen=True)
class Endpoint:
    """A container's endpoint on a network.

    ``mac_address`` is empty while the container is stopped, ``network_id`` before its first start.
    """

    network: str
    network_id: str = ""
    address: str = ""
    mac_address: str = ""


@dataclass(frozen=True)
class DesiredInterface:
    """One interface of the spec with its MAC address, and with the state of its lease if it has one."""

    interface: runtimes.Interface
    mac_address: str
    lease_state: LeaseState = NOT_KEPT

    @property
    def subnet(self) -> IPv4Network | None:
        """The subnet of the LAN; None without a static address."""
        return IPv4Network(self.interface.subnet) if self.interface.subnet and self.interface.address else None

    def link(self, parent_index: int) -> WantedLink:
        """The interface as a link in the runtime; ``parent_index`` is the kernel's index of its parent."""
        return WantedLink(
            self.interface.name,
            self.interface.parent_interface,
            parent_index,
            self.mac_address,
            self._address,
            self.gateway,
            pending=self.pending,
        )

    @property
    def leased(self) -> bool:
        """Whether it gets its address by DHCP."""
        return self.interface.mode == "Dhcp"

    @property
    def pending(self) -> bool:
        """Whether it still waits for an address from DHCP."""
        return self.leased and not self.lease_state.settled

    @property
    def gateway(self) -> str:
        """The gateway of the spec, else of the lease; "" for none."""
        lease = self.lease_state.lease
        return self.interface.gateway or (str(lease.gateway) if lease and lease.gateway else "")

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The name servers of the spec, else of the lease."""
        lease = self.lease_state.lease
        return self.interface.dns or (tuple(map(str, lease.name_servers)) if lease else ())

    @property
    def _address(self) -> IPv4Interface | None:
        if self.subnet:
            return IPv4Interface(f"{self.interface.address}/{self.subnet.prefixlen}")
        return self.lease_state.lease.address if self.lease_state.lease else None


@dataclass(frozen=True)
class Attachment:
    """An interface and the LAN network that provides it."""

    desired: DesiredInterface
    network: str


@dataclass(frozen=True)
class EndpointPlan:
    """Changes of a container's endpoints; we create interfaces that appear in none of the fields in the namespace.

    ``held`` are endpoints that are correct. First create the LAN networks of ``create``, then remove ``disconnect``,
    then add ``connect``. ``lost`` are endpoints on networks that were removed, and perhaps created again under the same
    name: the container cannot start with them.
    """

    held: tuple[Attachment, ...] = ()
    connect: tuple[Attachment, ...] = ()
    disconnect: tuple[Endpoint, ...] = ()
    create: tuple[DesiredInterface, ...] = ()
    lost: tuple[Endpoint, ...] = ()


class LanNetworks:
    """Decides which LAN network can provide an interface, from all networks of the engine, ours or not."""

    def __init__(self, install_id: str, networks: Iterable[Network], capabilities: Capabilities) -> None:
        self._install_id = install_id
        self._networks = {network.name: network for network in networks}
        self._capabilities = capabilities

    def of(self, desired: DesiredInterface) -> str:
        """The name of the LAN network for the interface, existing or not; "" when Docker cannot provide it.

        Raises errors.Stalled(POOL_OVERLAP) when a non-LAN network has the subnet: the host's routes would lead there,
        and the LAN would be unreachable.
        """
        subnet = desired.subnet
        if subnet is None:
            return ""
        name = labels.lan_network_name(self._install_id, desired.interface.parent_interface, subnet)
        existing = self._networks.get(name)
        if existing is not None:
            return name if self.is_ours(existing) and desired.interface.address not in existing.gateways else ""
        return name if self._can_be_made(desired, subnet) else ""

    def with_planned(self, desired: DesiredInterface, name: str) -> LanNetworks:
        """These networks and the one to be created for the interface."""
        subnets = (desired.subnet,) if desired.subnet else ()
        made = Network(
            "", name, "macvlan", desired.interface.parent_interface, subnets, (), labels.of_lan(self._install_id)
        )
        return LanNetworks(self._install_id, (*self._networks.values(), made), self._capabilities)

    def lost(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        """The endpoints on networks that the engine no longer has."""
        known = {network.id for network in self._networks.values()}
        return tuple(endpoint for endpoint in endpoints if endpoint.network_id not in ("", *known))

    def exists(self, name: str) -> bool:
        """Whether the engine has this network."""
        return name in self._networks

    def is_ours(self, network: Network | str) -> bool:
        """Whether it is a LAN network of this installation."""
        found = self._networks.get(network) if isinstance(network, str) else network
        return found is not None and labels.is_lan(found.labels, self._install_id)

    def _can_be_made(self, desired: DesiredInterface, subnet: IPv4Network) -> bool:
        overlapping = [network for network in self._networks.values() if network.overlaps(subnet)]
        foreign = [network for network in overlapping if network.driver not in _LAN_DRIVERS]
        if foreign:
            message = (
                f"The subnet {subnet} overlaps Docker's network {foreign[0].name}: remove it or correct the subnet"
            )
            raise errors.Stalled(reasons.POOL_OVERLAP, message)
        parent = desired.interface.parent_interface
        used = any(network.driver in _LAN_DRIVERS and network.parent == parent for network in self._networks.values())
        return not overlapping and (self._capabilities.parent_shared or not used)


def at_creation(
    desired_interfaces: Sequence[DesiredInterface], lans: LanNetworks, capabilities: Capabilities
) -> EndpointPlan:
    """The plan for a new container."""
    return _arranged(desired_interfaces, (), lans, lambda _, placed: capabilities.several_endpoints or not placed)


def on_container(
    desired_interfaces: Sequence[DesiredInterface],
    endpoints: Sequence[Endpoint],
    lans: LanNetworks,
    can_pin: Callable[[Attachment], bool],
) -> EndpointPlan:
    """The plan for an existing container.

    ``can_pin`` returns whether connecting the network would give the interface its MAC address.
    """
    return _arranged(desired_interfaces, endpoints, lans, lambda attachment, _: can_pin(attachment))


def _arranged(
    desired_interfaces: Sequence[DesiredInterface],
    endpoints: Sequence[Endpoint],
    lans: LanNetworks,
    allowed: Callable[[Attachment, int], bool],
) -> EndpointPlan:
    lost = lans.lost(endpoints)
    present = [endpoint for endpoint in endpoints if endpoint not in lost]
    ours = {endpoint.network: endpoint for endpoint in present if lans.is_ours(endpoint.network)}
    held: list[Attachment] = []
    connect: list[Attachment] = []
    create: list[DesiredInterface] = []
    for desired in desired_interfaces:
        attachment = Attachment(desired, lans.of(desired))
        taken = {other.network for other in (*held, *connect)}
        if not attachment.network or attachment.network in taken:
            continue
        if _in_place(ours.get(attachment.network), desired):
            held.append(attachment)
        elif allowed(attachment, len(connect)):
            connect.append(attachment)
            if not lans.exists(attachment.network):
                create.append(desired)
                lans = lans.with_planned(desired, attachment.network)
    keep = {attachment.network for attachment in held}
    return EndpointPlan(
        held=tuple(held),
        connect=tuple(connect),
        disconnect=tuple(endpoint for name, endpoint in ours.items() if name not in keep),
        create=tuple(create),
        lost=lost,
    )


def _in_place(endpoint: Endpoint | None, desired: DesiredInterface) -> bool:
    """Whether the endpoint has the desired address and, if known, the desired MAC address."""
    if endpoint is None or endpoint.address != desired.interface.address:
        return False
    return endpoint.mac_address.lower() in ("", desired.mac_address.lower())
