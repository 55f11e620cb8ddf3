"""Plans from observed links to the wanted ones."""

from __future__ import annotations

from ipaddress import IPv4Interface

import pytest

from controller.api import runtimes
from controller.network import link_plan, route_plan
from controller.network.desired_interface import DesiredInterface
from controller.network.link_changes import AddAltname, Change, Delete, DeleteAltname, Rename, SetState
from controller.network.snapshot import Link, Snapshot

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


def link(name: str, mac: str, address: str = "", kind: str = "macvlan", *, up: bool = True, parent: int = 0) -> Link:
    """An observed link."""
    return Link(name, mac, kind, up, (IPv4Interface(address),) if address else (), parent)


def wanted(name: str, mac: str, address: str = "10.0.0.2/24", gateway: str = "", parent: int = 7) -> DesiredInterface:
    """A link desired by the spec."""
    given = IPv4Interface(address)
    fields = {"address": str(given.ip), "subnet": str(given.network), "gateway": gateway or None, "mode": "Static"}
    interface = runtimes.Interface.model_validate({"name": name, "parentInterface": "eth9", **fields})
    return DesiredInterface(interface, mac, parent)


FAULTS = [
    ("in order", Snapshot((link("lan0", A, "10.0.0.2/24"),)), [wanted("lan0", A)], {}),
    ("missing", Snapshot(), [wanted("lan0", A)], {"lan0": "lan0 does not exist in the runtime"}),
    ("name", Snapshot((link("eth0", A, "10.0.0.2/24"),)), [wanted("lan0", A)], {"lan0": "lan0 is named eth0"}),
    (
        "address",
        Snapshot((link("lan0", A, "10.0.0.3/24"),)),
        [wanted("lan0", A)],
        {"lan0": "lan0 has 10.0.0.3/24 instead of 10.0.0.2/24"},
    ),
    (
        "no address yet",
        Snapshot((link("lan0", A),)),
        [wanted("lan0", A)],
        {"lan0": "lan0 does not have its address 10.0.0.2/24 yet"},
    ),
    ("down", Snapshot((link("lan0", A, "10.0.0.2/24", up=False),)), [wanted("lan0", A)], {"lan0": "lan0 is down"}),
    (
        "parent",
        Snapshot((link("lan0", A, "10.0.0.2/24", parent=3),)),
        [wanted("lan0", A)],
        {"lan0": "lan0 is not on eth9"},
    ),
    ("parent not known", Snapshot((link("lan0", A, "10.0.0.2/24"),)), [wanted("lan0", A, parent=7)], {}),
    (
        "no route",
        Snapshot((link("lan0", A, "10.0.0.2/24"),)),
        [wanted("lan0", A, gateway="10.0.0.1")],
        {"lan0": "the default route does not use the gateway 10.0.0.1"},
    ),
    (
        "route over another network",
        Snapshot((link("lan0", A, "10.0.0.2/24"),), (("10.0.0.1", "lan0"), ("10.213.0.1", "eth1"))),
        [wanted("lan0", A, gateway="10.0.0.1")],
        {"lan0": "the default route does not use the gateway 10.0.0.1"},
    ),
    (
        "route without a gateway",
        Snapshot((link("lan0", A, "10.0.0.2/24"),), (("10.0.0.254", "lan0"),)),
        [wanted("lan0", A)],
        {"lan0": "there is a default route, but no gateway"},
    ),
]


@pytest.mark.parametrize(("_case", "snapshot", "links", "expected"), FAULTS, ids=[row[0] for row in FAULTS])
def test_faults_are_named(
    _case: str, snapshot: Snapshot, links: list[DesiredInterface], expected: dict[str, str]
) -> None:
    assert link_plan.faults(snapshot, links) == expected


def names_after(changes: list[Change], before: dict[str, str]) -> dict[str, str]:
    """Apply the renames and return names by MAC address; fails where the kernel would."""
    names = {name: mac for mac, name in before.items()}
    for change in changes:
        if isinstance(change, Rename):
            assert change.name not in names, f"{change.name} is taken"
            names[change.name] = names.pop(change.link)
    return {mac: name for name, mac in names.items()}


RENAMES = [
    ("nothing to do", {A: "lan0", B: "lan1"}, {A: "lan0", B: "lan1"}),
    ("one", {A: "eth0"}, {A: "lan0"}),
    ("two swapped", {A: "lan1", B: "lan0"}, {A: "lan0", B: "lan1"}),
    ("a ring of three", {A: "x2", B: "x0", C: "x1"}, {A: "x0", B: "x1", C: "x2"}),
    ("a stranger in the way", {A: "eth1", C: "eth0"}, {A: "eth0"}),
    ("broken off before", {A: "edgetmp0000000a"}, {A: "lan0"}),
]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(("_case", "before", "after"), RENAMES, ids=[row[0] for row in RENAMES])
def test_every_link_gets_its_name(_case: str, before: dict[str, str], after: dict[str, str], live: bool) -> None:
    kinds = {mac: "macvlan" if mac in after else "veth" for mac in before}
    snapshot = Snapshot(tuple(link(name, mac, kind=kinds[mac]) for mac, name in before.items()))

    changes = link_plan.renames(snapshot, [wanted(name, mac) for mac, name in after.items()], live=live)

    assert names_after(changes, before).items() >= after.items()
    assert all(len(name) <= 15 for name in names_after(changes, before).values())
    assert any(isinstance(change, SetState) for change in changes) == (bool(changes) and not live)


def test_the_engines_name_is_kept_as_an_altname() -> None:
    snapshot = Snapshot((link("eth0", A), link("plant", B), link("eth2", C)))
    links = [wanted("lan0", A), wanted("cell", B), wanted("eth0", C)]

    # eth0 is now the name of another link, and "plant" is not an engine's name.
    assert link_plan.engine_names(snapshot, links) == [AddAltname("eth0", "eth2")]


def test_an_altname_is_removed_if_a_link_needs_the_name() -> None:
    snapshot = Snapshot((Link("lan0", A, "macvlan", True, (), 0, ("eth0",)), link("eth1", B)))

    changes = link_plan.renames(snapshot, [wanted("lan0", A), wanted("eth0", B)])

    assert changes[0] == DeleteAltname("lan0", "eth0")


def test_an_unwanted_link_is_removed_unless_the_engine_owns_it() -> None:
    snapshot = Snapshot((link("a", A), link("b", B), link("c", C), link("own", "02:00:00:00:00:0d", kind="veth")))

    assert link_plan.surplus(snapshot, [wanted("a", A)], [B.upper()]) == [Delete("c")]


def test_a_link_on_another_parent_is_recreated() -> None:
    snapshot = Snapshot((link("a", A, parent=3),))

    assert link_plan.surplus(snapshot, [wanted("a", A, parent=7)], []) == [Delete("a")]


def test_a_changed_address_is_set_again_with_its_route() -> None:
    snapshot = Snapshot((link("lan0", A, "10.0.0.3/24"),), (("10.0.0.1", "lan0"),))

    changes = link_plan.addressing(snapshot, [wanted("lan0", A, gateway="10.0.0.1")])

    assert [str(change) for change in changes] == [
        "address delete 10.0.0.3/24 dev lan0",
        "address replace 10.0.0.2/24 broadcast + dev lan0",
        "route replace default via 10.0.0.1 dev lan0",
    ]


def test_the_default_route_goes_over_the_first_link_with_a_gateway() -> None:
    links = [wanted("a", A), wanted("b", B, gateway="10.0.1.1"), wanted("c", C, gateway="10.0.2.1")]

    assert route_plan.default_route(links) == ("10.0.1.1", "b")
