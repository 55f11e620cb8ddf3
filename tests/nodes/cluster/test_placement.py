"""Placement as a table: the node that has the parents of the spec, or an error that says what each node has."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors
from controller.nodes.cluster import placement
from controller.nodes.cluster.placement import Candidate

OFFICE, HALL = "192.168.1.0/24", "10.0.0.0/24"
ONE = Candidate("one", {"eth0": OFFICE, "eth1": ""}, ("Docker",), runtimes=5)
TWO = Candidate("two", {"eth0": OFFICE}, ("Docker",), runtimes=2)
OTHER_LAN = Candidate("other", {"eth0": HALL}, ("Docker",))
WITHOUT_DOCKER = Candidate("pods", {"eth2": OFFICE}, ())
AWAY = Candidate("gone", {"eth9": OFFICE}, ("Docker",), away="node gone is away, last heard from at noon")
ALL = (ONE, TWO, OTHER_LAN, WITHOUT_DOCKER, AWAY)


def spec(*parents: str, subnet: str = "", **fields: Any) -> dict[str, Any]:
    interfaces = [{"parentInterface": parent, **({"subnet": subnet} if subnet else {})} for parent in parents]
    return {"deviceId": "plc-1", "interfaces": interfaces, **fields}


@pytest.mark.parametrize(
    ("nodes", "desired", "pods", "node", "backend"),
    [
        pytest.param(ALL, spec("eth1"), False, "one", "Docker", id="the node that has the parent"),
        pytest.param(ALL, spec("eth0", "eth1"), False, "one", "Docker", id="the node that has all parents"),
        pytest.param(
            (ONE, TWO), spec("eth0"), False, "two", "Docker", id="on one LAN: the node with the fewest Runtimes"
        ),
        pytest.param(ALL, spec("eth0", subnet=HALL), False, "other", "Docker", id="the node on the desired subnet"),
        pytest.param(ALL, spec("eth0", subnet="10.0.0.7/24"), False, "other", "Docker", id="a subnet with host bits"),
        pytest.param((ONE, TWO), spec(), False, "two", "Docker", id="without a LAN"),
        pytest.param(ALL, spec("eth0", nodeName="other"), False, "other", "Docker", id="node_name decides"),
        pytest.param(ALL, spec("eth2"), True, "pods", "Pod", id="a pod where there is no Docker"),
        pytest.param(ALL, spec("eth1", backend="Pod"), True, "one", "Pod", id="the requested backend"),
        pytest.param(
            (ONE._replace(devices=frozenset({"usb-a", "/dev/ttyUSB0"})), TWO),
            spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "one",
            "Docker",
            id="the node that has the device",
        ),
        pytest.param(
            (ONE,),
            spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "one",
            "Docker",
            id="the only node, where the device can still be plugged in",
        ),
        pytest.param(
            (ONE, TWO),
            spec("eth0", nodeName="two", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "two",
            "Docker",
            id="the requested node, device or not",
        ),
        pytest.param(ALL, spec("eth0", dedicatedInterface="eth1"), False, "one", "Docker", id="a dedicated interface"),
    ],
)
def test_a_runtime_is_placed_on(nodes: Any, desired: dict[str, Any], pods: bool, node: str, backend: str) -> None:
    assert placement.choose(nodes, desired, pods=pods) == (node, backend)


@pytest.mark.parametrize(
    ("nodes", "desired", "sentence"),
    [
        pytest.param((), spec("eth0"), "there is no node yet: start a controller with the role node",
                     id="no node"),
        pytest.param((ONE, TWO), spec("eth7"), "no node has eth7 (one: it has eth0, eth1; two: it has eth0)",
                     id="no node has it"),
        pytest.param((ONE, TWO), spec("eth1", nodeName="two"),
                     "node two cannot run it: it has eth0, and the spec asks for eth1",
                     id="the requested node does not have it"),
        pytest.param((ONE, TWO), spec("eth0", nodeName="three"), "there is no node three: the nodes are one, two",
                     id="no such node"),
        pytest.param((ONE, AWAY), spec("eth9"), "no node has eth9 (one: it has eth0, eth1; gone: it is away)",
                     id="the node that has it is away"),
        pytest.param((ONE, AWAY), spec("eth9", nodeName="gone"), "node gone is away, last heard from at noon",
                     id="the requested node is away"),
        pytest.param((ONE, OTHER_LAN), spec("eth0"),
                     f"several nodes have eth0, on different LANs (one: {OFFICE}; other: {HALL}): set node_name",
                     id="different LANs"),
        pytest.param((ONE, TWO._replace(interfaces={"eth1": ""})), spec("eth1"),
                     "several nodes have eth1, and whether on the same LAN is unknown (one: no address on eth1; two: "
                     "no address on eth1): set node_name", id="unknown LANs"),
        pytest.param((ONE, TWO), spec("eth0.10"),
                     "several nodes have eth0.10, and whether on the same LAN is unknown (one: eth0.10 is created with "
                     "the Runtime; two: eth0.10 is created with the Runtime): set node_name", id="new VLANs"),
        pytest.param((ONE, TWO._replace(interfaces={"eth5": ""}, devices=frozenset({"usb-a"}))),
                     spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
                     "no node has eth0, usb-a (one: it has eth0, eth1; two: it has eth5, usb-a): plug the device in "
                     "there, or set node_name", id="the device is elsewhere"),
        pytest.param((WITHOUT_DOCKER,), spec("eth2"), "no node has eth2 (pods: it has no Docker)", id="no Docker"),
    ],
)  # fmt: skip
def test_an_impossible_spec_is_an_error_that_says_what_each_node_has(
    nodes: Any, desired: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(errors.CommandError) as raised:
        placement.choose(nodes, desired, pods=False)
    assert str(raised.value) == sentence
