"""Which network provides which interface: a table of specs and engines."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from controller import errors
from controller.api import runtimes
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.networking import endpoint_plan
from controller.backends.docker.networking.endpoint_plan import Endpoint, LanNetworks, Network
from controller.network.desired_interface import DesiredInterface

OLD, ENGINE_25, ENGINE_28, ENGINE_29 = (Capabilities.of(version) for version in ("1.41", "1.44", "1.51", "1.56"))
INSTALL = "install"


def desired(
    name: str, parent: str = "eth0", address: str = "10.1.0.10", subnet: str = "10.1.0.0/24"
) -> DesiredInterface:
    """A static interface; its MAC address ends with the address."""
    fields = {"name": name, "parentInterface": parent, "mode": "Static", "address": address, "subnet": subnet}
    return DesiredInterface(
        runtimes.Interface.model_validate(fields), f"02:00:00:00:00:{int(address.rpartition('.')[2]):02x}"
    )


def network_of(desired_interface: DesiredInterface, gateway: str = "") -> Network:
    """Our LAN network for a desired interface."""
    subnet = desired_interface.subnet
    assert subnet is not None
    name = labels.lan_network_name(INSTALL, desired_interface.parent, subnet)
    return Network("id", name, "macvlan", desired_interface.parent, (subnet,), (gateway,), labels.of_lan(INSTALL))


def foreign(driver: str, subnet: str, parent: str = "") -> Network:
    """Somebody else's network."""
    return Network("other", "other", driver, parent, (IPv4Network(subnet),))


def placed(
    desired_interfaces: list[DesiredInterface], engine: Capabilities, networks: list[Network] | None = None
) -> list[str]:
    """The names of the interfaces that Docker provides in a new container."""
    found = endpoint_plan.at_creation(desired_interfaces, LanNetworks(INSTALL, networks or [], engine))
    return [desired.name for desired in found.connect.values()]


TWO_SUBNETS = [desired("a"), desired("b", address="10.2.0.10", subnet="10.2.0.0/24")]
TWO_PARENTS = [desired("a"), desired("b", "eth1", "10.2.0.10", "10.2.0.0/24")]
SAME_NETWORK = [desired("a"), desired("b", address="10.1.0.11")]
SAME_SUBNET_TWICE = [desired("a"), desired("b", "eth1", "10.1.0.11")]

CREATIONS = [
    ("one", [desired("a")], {"1.41": "a", "1.44": "a", "1.51": "a"}),
    ("two parents", TWO_PARENTS, {"1.41": "a", "1.44": "ab", "1.51": "ab"}),
    ("two subnets on a parent", TWO_SUBNETS, {"1.41": "a", "1.44": "a", "1.51": "ab"}),
    ("two in one network", SAME_NETWORK, {"1.41": "a", "1.44": "a", "1.51": "a"}),
    ("one subnet on two parents", SAME_SUBNET_TWICE, {"1.41": "a", "1.44": "a", "1.51": "a"}),
    ("none", [], {"1.41": "", "1.44": "", "1.51": ""}),
]


@pytest.mark.parametrize("version", ["1.41", "1.44", "1.51"])
@pytest.mark.parametrize(("_case", "desired_interfaces", "expected"), CREATIONS, ids=[row[0] for row in CREATIONS])
def test_docker_provides_the_interfaces_whose_mac_it_can_pin(
    _case: str, desired_interfaces: list[DesiredInterface], expected: dict[str, str], version: str
) -> None:
    assert "".join(placed(desired_interfaces, Capabilities.of(version))) == expected[version]


NEIGHBOURS = [
    ("our own network", network_of(desired("a")), "a", "a"),
    ("our network of another subnet", network_of(TWO_SUBNETS[1]), "", "a"),
    ("the address is the network's gateway", network_of(desired("a"), gateway="10.1.0.10"), "", ""),
    ("a foreign macvlan with the subnet", foreign("macvlan", "10.1.0.0/16", "eth0"), "", ""),
    ("a foreign macvlan on the parent", foreign("macvlan", "10.9.0.0/24", "eth0"), "", "a"),
    ("a foreign macvlan elsewhere", foreign("macvlan", "10.9.0.0/24", "eth1"), "a", "a"),
    ("a foreign bridge elsewhere", foreign("bridge", "10.9.0.0/24"), "a", "a"),
]


@pytest.mark.parametrize(("_case", "neighbour", "old", "new"), NEIGHBOURS, ids=[row[0] for row in NEIGHBOURS])
def test_conflicting_networks_are_avoided(_case: str, neighbour: Network, old: str, new: str) -> None:
    assert placed([desired("a")], OLD, [neighbour]) == list(old)
    assert placed([desired("a")], ENGINE_28, [neighbour]) == list(new)


def test_a_bridge_with_the_subnet_is_an_overlap() -> None:
    with pytest.raises(errors.Stalled, match="remove it or correct the subnet"):
        placed([desired("a")], ENGINE_28, [foreign("bridge", "10.1.0.0/16")])


def test_an_existing_network_is_not_created_again() -> None:
    other_runtime = network_of(desired("a"))

    found = endpoint_plan.at_creation(TWO_PARENTS, LanNetworks(INSTALL, [other_runtime], ENGINE_28))

    assert [made.name for made in found.create] == ["b"]


IN_PLACE = Endpoint(network_of(desired("a")).name, "id", "10.1.0.10", "02:00:00:00:00:0a")
REPAIRS = [
    ("in order", [IN_PLACE], "a", "", 0, 0),
    ("stopped: no MAC address is known", [Endpoint(IN_PLACE.network, "id", "10.1.0.10")], "a", "", 0, 0),
    ("disconnected", [], "", "a", 0, 0),
    ("another address", [Endpoint(IN_PLACE.network, "id", "10.1.0.11", "02:00:00:00:00:0a")], "", "a", 1, 0),
    ("another MAC address", [Endpoint(IN_PLACE.network, "id", "10.1.0.10", "02:00:00:00:00:0b")], "", "a", 1, 0),
    ("the network was recreated", [Endpoint(IN_PLACE.network, "gone", "10.1.0.10")], "", "a", 0, 1),
    ("a foreign network", [IN_PLACE, Endpoint("other", "other", "10.9.0.2")], "a", "", 0, 0),
]


@pytest.mark.parametrize(
    ("_case", "endpoints", "held", "connect", "disconnected", "lost"), REPAIRS, ids=[row[0] for row in REPAIRS]
)
def test_an_existing_container_is_changed_to_match_the_spec(
    _case: str, endpoints: list[Endpoint], held: str, connect: str, disconnected: int, lost: int
) -> None:
    lans = LanNetworks(INSTALL, [network_of(desired("a")), foreign("bridge", "10.9.0.0/24")], ENGINE_29)

    found = endpoint_plan.on_container([desired("a")], endpoints, lans, lambda _network, _desired: True)

    assert [desired.name for desired in found.held.values()] == list(held)
    assert [desired.name for desired in found.connect.values()] == list(connect)
    assert (len(found.disconnect), len(found.lost)) == (disconnected, lost)


def test_an_interface_whose_mac_cannot_be_pinned_is_left_to_the_namespace() -> None:
    lans = LanNetworks(INSTALL, [network_of(desired("a"))], ENGINE_28)
    moved = Endpoint(IN_PLACE.network, "id", "10.1.0.11", "02:00:00:00:00:0a")

    found = endpoint_plan.on_container([desired("a")], [moved], lans, lambda _network, _desired: False)

    assert (found.connect, found.disconnect) == ({}, (moved,))


def endpoint_of(desired_interface: DesiredInterface, mac_address: str | None = None) -> Endpoint:
    """The endpoint of a running container that provides a desired interface."""
    given = desired_interface.mac_address if mac_address is None else mac_address
    return Endpoint(network_of(desired_interface).name, "id", desired_interface.interface.address or "", given)


@pytest.mark.parametrize(
    ("desired_interfaces", "endpoints", "arranged"),
    [
        ([desired("a")], [endpoint_of(desired("a"))], True),
        ([desired("a")], [endpoint_of(desired("a")), Endpoint("bridge", "other")], True),
        (TWO_PARENTS, [endpoint_of(each) for each in TWO_PARENTS], True),
        (SAME_NETWORK, [endpoint_of(SAME_NETWORK[0])], True),
        ([], [], True),
        ([desired("a")], [], False),
        ([desired("a")], [endpoint_of(desired("a"), mac_address="")], False),
        ([desired("a")], [endpoint_of(desired("a"), mac_address="02:00:00:00:00:99")], False),
        ([desired("a")], [endpoint_of(desired("a", address="10.1.0.11"))], False),
        (TWO_PARENTS, [endpoint_of(TWO_PARENTS[0])], False),
        ([desired("a")], [endpoint_of(each) for each in TWO_PARENTS], False),
    ],
)
def test_endpoints_that_are_arranged_need_no_list_of_networks(
    desired_interfaces: list[DesiredInterface], endpoints: list[Endpoint], arranged: bool
) -> None:
    assert endpoint_plan.is_arranged(desired_interfaces, endpoints, INSTALL) == arranged
    if arranged:
        lans = LanNetworks(INSTALL, [network_of(each) for each in desired_interfaces], ENGINE_29)
        plan = endpoint_plan.on_container(desired_interfaces, endpoints, lans, lambda *_: True)
        assert (plan.connect, plan.disconnect, plan.create) == ({}, (), ())


def test_an_interface_with_a_gateway_outside_its_subnet_becomes_a_link_of_ours() -> None:
    fields = {"name": "a", "parentInterface": "eth0", "mode": "Static", "address": "10.1.0.10", "subnet": "10.1.0.0/24"}
    interface = runtimes.Interface.model_validate({**fields, "gateway": "10.9.0.1"})
    outside = DesiredInterface(interface, "02:00:00:00:00:0a")
    assert placed([outside], ENGINE_28) == []
    assert endpoint_plan.is_arranged([outside], [], INSTALL)
    assert not endpoint_plan.is_arranged([outside], [endpoint_of(desired("a"))], INSTALL)
