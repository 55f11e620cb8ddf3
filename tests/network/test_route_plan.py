"""Plans from observed routes to the wanted ones."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from controller.api import runtimes
from controller.network import link_plan
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.dhcp.leases import Lease
from controller.network.routes import LinkRoute, Route
from controller.network.snapshot import Link, Snapshot

A, B, INTERNAL = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
PLANT = Route(IPv4Network("172.16.0.0/16"), IPv4Address("10.0.0.1"))


def link(name: str = "lan0", mac: str = A, address: str = "10.0.0.2/24", kind: str = "macvlan") -> Link:
    """An observed link that is up."""
    return Link(name, mac, kind, True, (IPv4Interface(address),))


def leased(*routes: Route, name: str = "lan0", mac: str = A, address: str = "10.0.0.2/24") -> DesiredInterface:
    """An interface with a lease that has these routes."""
    server = IPv4Address("10.0.0.1")
    lease = Lease(IPv4Interface(address), server, 0.0, 0.0, 60.0, 30.0, 50.0, routes=routes)
    interface = runtimes.Interface.model_validate({"name": name, "parentInterface": "eth9"})
    return DesiredInterface(interface, mac, 7, LeaseState(lease, settled=True, kept=True))


def changes(snapshot: Snapshot, *wanted: DesiredInterface) -> list[str]:
    """The changes as commands."""
    return [str(change) for change in link_plan.addressing(snapshot, wanted)]


def test_a_missing_route_of_a_lease_is_drift_and_set() -> None:
    snapshot, wanted = Snapshot((link(),)), leased(PLANT)
    assert link_plan.faults(snapshot, [wanted]) == {"lan0": "lan0 does not have the routes of its lease"}
    assert changes(snapshot, wanted) == ["route replace 172.16.0.0/16 via 10.0.0.1 dev lan0 proto dhcp"]


def test_a_route_of_a_former_lease_is_drift_and_deleted() -> None:
    snapshot, wanted = Snapshot((link(),), routes=(LinkRoute(PLANT, "lan0"),)), leased()
    assert link_plan.faults(snapshot, [wanted])
    assert changes(snapshot, wanted) == ["route delete 172.16.0.0/16 via 10.0.0.1 dev lan0 proto dhcp"]


def test_routes_in_place_need_no_change() -> None:
    snapshot = Snapshot((link(),), routes=(LinkRoute(PLANT, "lan0"),))
    assert (link_plan.faults(snapshot, [leased(PLANT)]), changes(snapshot, leased(PLANT))) == ({}, [])


def test_routes_of_a_lease_that_is_not_decided_stay() -> None:
    snapshot = Snapshot((link(),), routes=(LinkRoute(PLANT, "lan0"),))
    interface = runtimes.Interface.model_validate({"name": "lan0", "parentInterface": "eth9"})
    pending = DesiredInterface(interface, A, 7, NOT_KEPT)
    assert (link_plan.faults(snapshot, [pending]), changes(snapshot, pending)) == ({}, [])


def test_a_gateway_outside_the_subnet_is_reached_over_the_link() -> None:
    snapshot = Snapshot((link(address="10.0.0.2/32"),))
    assert changes(snapshot, leased(PLANT, address="10.0.0.2/32")) == [
        "route replace 172.16.0.0/16 via 10.0.0.1 dev lan0 proto dhcp onlink"
    ]


@pytest.mark.parametrize("destination", ["10.213.0.0/28", "10.213.0.1/32", "10.1.0.128/25", "10.0.0.0/24"])
def test_a_lease_diverts_no_other_network(destination: str) -> None:
    internal = Link("internal0", INTERNAL, "veth", True, (IPv4Interface("10.213.0.2/28"),))
    snapshot = Snapshot((link(), link("lan1", B, "10.1.0.2/24"), internal))
    other = leased(name="lan1", mac=B, address="10.1.0.2/24")
    wanted = leased(Route(IPv4Network(destination), IPv4Address("10.0.0.1")))
    assert (link_plan.faults(snapshot, [wanted, other]), changes(snapshot, wanted, other)) == ({}, [])


def test_of_two_routes_to_a_destination_the_first_links_is_used() -> None:
    other = leased(Route(PLANT.destination, IPv4Address("10.1.0.1")), name="lan1", mac=B, address="10.1.0.2/24")
    snapshot = Snapshot((link(), link("lan1", B, "10.1.0.2/24")), routes=(LinkRoute(PLANT, "lan0"),))
    assert (link_plan.faults(snapshot, [leased(PLANT), other]), changes(snapshot, leased(PLANT), other)) == ({}, [])
