"""Plans which interfaces of a runtime Docker's networks provide, and which we create ourselves. Pure.

Docker's endpoints exist from the first moment of every start, even when the controller is down. So Docker provides
every interface that it can with the right MAC address: one per network, and below API 1.44 one in total. We create the
others in the container's network namespace after each start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from controller import errors
from controller.api import reasons
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.capabilities import Capabilities
from controller.network.desired_interface import DesiredInterface

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
class EndpointPlan:
    """Changes of a container's endpoints; we create interfaces that appear in none of the fields in the namespace.

    ``held`` and ``connect`` are interfaces by the LAN network that provides them; those of ``held`` are correct. First
    create the LAN networks of ``create``, then remove ``disconnect``, then add ``connect``. ``lost`` are endpoints on
    networks that were removed, and perhaps created again under the same name: the container cannot start with them.
    """

    held: Mapping[str, DesiredInterface] = field(default_factory=dict)
    connect: Mapping[str, DesiredInterface] = field(default_factory=dict)
    disconnect: tuple[Endpoint, ...] = ()
    create: tuple[DesiredInterface, ...] = ()
    lost: tuple[Endpoint, ...] = ()


class LanNetworks:
    """Decides which LAN network can provide an interface, from all networks of the engine, ours or not."""

    def __init__(self, install_id: str, networks: Iterable[Network], capabilities: Capabilities) -> None:
        self._install_id = install_id
        self._networks = {network.name: network for network in networks}
        self.capabilities = capabilities

    def of(self, desired: DesiredInterface) -> str:
        """The name of the LAN network for the interface, existing or not; "" when Docker cannot provide it.

        Raises errors.Stalled(POOL_OVERLAP) when a non-LAN network has the subnet: the host's routes would lead there,
        and the LAN would be unreachable.
        """
        subnet = desired.subnet
        name = _lan_name(self._install_id, desired)
        if subnet is None or not name:
            return ""
        existing = self._networks.get(name)
        if existing is not None:
            # Docker reserves the gateway of a pool, and would refuse a runtime that has this address.
            return name if self.is_ours(existing) and desired.interface.address not in existing.gateways else ""
        return name if self._can_be_made(desired, subnet) else ""

    def with_planned(self, desired: DesiredInterface, name: str) -> LanNetworks:
        """These networks and the one to be created for the interface."""
        subnets = (desired.subnet,) if desired.subnet else ()
        made = Network("", name, "macvlan", desired.parent, subnets, (), labels.of_lan(self._install_id))
        return LanNetworks(self._install_id, (*self._networks.values(), made), self.capabilities)

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
        used = any(
            network.driver in _LAN_DRIVERS and network.parent == desired.parent for network in self._networks.values()
        )
        # An engine refuses a pool that overlaps another one, even if the two networks are on different parents.
        return not overlapping and (self.capabilities.parent_shared or not used)


def at_creation(desired_interfaces: Sequence[DesiredInterface], lans: LanNetworks) -> EndpointPlan:
    """The plan for a new container."""
    several = lans.capabilities.several_endpoints
    return _planned(desired_interfaces, (), lans, lambda _network, _desired, is_first: several or is_first)


def on_container(
    desired_interfaces: Sequence[DesiredInterface],
    endpoints: Sequence[Endpoint],
    lans: LanNetworks,
    can_pin: Callable[[str, DesiredInterface], bool],
) -> EndpointPlan:
    """The plan for an existing container.

    ``can_pin`` returns whether connecting the network of this name would give the interface its MAC address.
    """
    return _planned(desired_interfaces, endpoints, lans, lambda network, desired, _first: can_pin(network, desired))


def is_arranged(desired_interfaces: Sequence[DesiredInterface], endpoints: Sequence[Endpoint], install_id: str) -> bool:
    """Whether a running container has an endpoint for each interface that Docker may provide, and no other one.

    Then the plan has no changes, whatever networks the engine has: they need not be listed.
    """
    ours = {endpoint.network: endpoint for endpoint in endpoints if labels.is_lan_name(endpoint.network)}
    provided = set[str]()
    for desired in desired_interfaces:
        name = _lan_name(install_id, desired)
        if not name or name in provided:
            continue
        # Without a MAC address the container was started without this network.
        if name not in ours or not ours[name].mac_address or not _in_place(ours[name], desired):
            return False
        provided.add(name)
    return ours.keys() == provided


def _planned(
    desired_interfaces: Sequence[DesiredInterface],
    endpoints: Sequence[Endpoint],
    lans: LanNetworks,
    allowed: Callable[[str, DesiredInterface, bool], bool],
) -> EndpointPlan:
    lost = lans.lost(endpoints)
    present = [endpoint for endpoint in endpoints if endpoint not in lost]
    ours = {endpoint.network: endpoint for endpoint in present if lans.is_ours(endpoint.network)}
    held: dict[str, DesiredInterface] = {}
    connect: dict[str, DesiredInterface] = {}
    create: list[DesiredInterface] = []
    for desired in desired_interfaces:
        network = lans.of(desired)
        # A container has at most one endpoint on a network: a second interface on it becomes a link of ours.
        if not network or network in held or network in connect:
            continue
        if _in_place(ours.get(network), desired):
            held[network] = desired
        elif allowed(network, desired, not connect):
            connect[network] = desired
            if not lans.exists(network):
                create.append(desired)
                # The next interface must see it: on an old engine this network occupies the parent.
                lans = lans.with_planned(desired, network)
    disconnect = tuple(endpoint for name, endpoint in ours.items() if name not in held)
    return EndpointPlan(held, connect, disconnect, tuple(create), lost)


def _lan_name(install_id: str, desired: DesiredInterface) -> str:
    """The name of the LAN network for the interface; "" when an engine would refuse it, as with a gateway outside."""
    subnet, gateway = desired.subnet, desired.interface.gateway
    if subnet is None or (gateway and IPv4Address(gateway) not in subnet):
        return ""
    return labels.lan_network_name(install_id, desired.parent, subnet)


def _in_place(endpoint: Endpoint | None, desired: DesiredInterface) -> bool:
    """Whether the endpoint has the desired address and, if known, the desired MAC address."""
    if endpoint is None or endpoint.address != desired.interface.address:
        return False
    return endpoint.mac_address.lower() in ("", desired.mac_address)
