"""Where a Runtime goes, as a table: the node that has its parents; a wish that cannot be says which node has what."""

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
AWAY = Candidate("gone", {"eth9": OFFICE}, ("Docker",), away="node gone is away, last heard of at noon")
ALL = (ONE, TWO, OTHER_LAN, WITHOUT_DOCKER, AWAY)


def spec(*parents: str, subnet: str = "", **fields: Any) -> dict[str, Any]:
    interfaces = [{"parentInterface": parent, **({"subnet": subnet} if subnet else {})} for parent in parents]
    return {"deviceId": "plc-1", "interfaces": interfaces, **fields}


@pytest.mark.parametrize(
    ("nodes", "desired", "pods", "node", "backend"),
    [
        pytest.param(ALL, spec("eth1"), False, "one", "Docker", id="the one that has the parent"),
        pytest.param(ALL, spec("eth0", "eth1"), False, "one", "Docker", id="the one that has all parents"),
        pytest.param((ONE, TWO), spec("eth0"), False, "two", "Docker", id="on one LAN: the one with fewest Runtimes"),
        pytest.param(ALL, spec("eth0", subnet=HALL), False, "other", "Docker", id="the one on the wished subnet"),
        pytest.param(ALL, spec("eth0", nodeName="other"), False, "other", "Docker", id="node_name decides"),
        pytest.param(ALL, spec("eth2"), True, "pods", "Pod", id="a pod where there is no Docker"),
        pytest.param(ALL, spec("eth1", backend="Pod"), True, "one", "Pod", id="the backend asked for"),
        pytest.param(
            (ONE._replace(devices=frozenset({"usb-a", "/dev/ttyUSB0"})), TWO),
            spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "one",
            "Docker",
            id="the one that has the device",
        ),
        pytest.param(
            (ONE,),
            spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "one",
            "Docker",
            id="the only one, where the device can still be plugged in",
        ),
        pytest.param(
            (ONE, TWO),
            spec("eth0", nodeName="two", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
            False,
            "two",
            "Docker",
            id="the one asked for, device or not",
        ),
        pytest.param(ALL, spec("eth0", dedicatedInterface="eth1"), False, "one", "Docker", id="a dedicated one"),
    ],
)
def test_a_runtime_goes(nodes: Any, desired: dict[str, Any], pods: bool, node: str, backend: str) -> None:
    assert placement.choose(nodes, desired, pods=pods) == (node, backend)


@pytest.mark.parametrize(
    ("nodes", "desired", "sentence"),
    [
        pytest.param((), spec("eth0"), "there is no node here yet: start the controller with the role node on one",
                     id="no node"),
        pytest.param((ONE, TWO), spec("eth7"), "no node has eth7 (one: it has eth0, eth1; two: it has eth0)",
                     id="nobody has it"),
        pytest.param((ONE, TWO), spec("eth1", nodeName="two"),
                     "node two cannot run it: it has eth0, and asked for is eth1", id="the asked one has it not"),
        pytest.param((ONE, TWO), spec("eth0", nodeName="three"), "there is no node three: there is one, two",
                     id="no such node"),
        pytest.param((ONE, AWAY), spec("eth9"), "no node has eth9 (one: it has eth0, eth1; gone: it is away)",
                     id="the one that has it is away"),
        pytest.param((ONE, AWAY), spec("eth9", nodeName="gone"), "node gone is away, last heard of at noon",
                     id="the asked one is away"),
        pytest.param((ONE, OTHER_LAN), spec("eth0"),
                     f"several nodes have eth0, on different LANs (one: {OFFICE}; other: {HALL}): give node_name",
                     id="different LANs"),
        pytest.param((ONE, TWO._replace(interfaces={"eth5": ""}, devices=frozenset({"usb-a"}))),
                     spec("eth0", serialPorts=[{"name": "a", "deviceId": "usb-a"}]),
                     "no node has eth0, usb-a (one: it has eth0, eth1; two: it has eth5, usb-a): plug the device in "
                     "there, or give node_name", id="the device is elsewhere"),
        pytest.param((WITHOUT_DOCKER,), spec("eth2"), "no node has eth2 (pods: it has no Docker)", id="no Docker"),
    ],
)  # fmt: skip
def test_an_impossible_wish_says_which_node_has_what(nodes: Any, desired: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.CommandError) as raised:
        placement.choose(nodes, desired, pods=False)
    assert str(raised.value) == sentence
