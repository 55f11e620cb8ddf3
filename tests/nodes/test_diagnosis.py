"""The diagnosis of the path from a runtime to its gateway: one fault at a time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

import pytest

from controller.api.runtime_status import InterfaceStatus
from controller.api.runtimes import Interface
from controller.network.interfaces import HostInterface
from controller.network.snapshot import Link
from controller.nodes import diagnosis
from controller.nodes.diagnosis import Container, NetworkFacts

MAC = "02:ab:00:00:00:01"
DESIRED = Interface.model_validate(
    {
        "name": "lan0",
        "parentInterface": "eth0",
        "mode": "Static",
        "address": "10.0.0.5",
        "subnet": "10.0.0.0/24",
        "gateway": "10.0.0.1",
        "dns": ["10.0.0.1"],
    }
)
NIC = HostInterface("eth0", "physical", True, "52:54:00:00:00:01", carrier=True, speed=1000)
LINK = Link("lan0", MAC, "macvlan", True, (IPv4Interface("10.0.0.5/24"),), 2)
WELL = NetworkFacts(
    desired=DESIRED,
    status=InterfaceStatus(name="lan0", address="10.0.0.5", mac_address=MAC),
    parents=["eth0", "eth1"],
    parent=NIC,
    parent_number=2,
    link=LINK,
    gateway="10.0.0.1",
    routes=(("10.0.0.1", "lan0"),),
    is_default=True,
    gateway_inside="52:54:00:00:00:ff",
    desired_servers=("10.0.0.1",),
    actual_servers=("10.0.0.1",),
)
LEASED = Interface(name="lan0", parent_interface="eth0")

FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("no parent", {"parent": None}, "parent", "available: eth0, eth1"),
    ("Wi-Fi", {"parent": replace(NIC, kind="wifi")}, "parent", "wired"),
    (
        "the NIC under the VLAN is down",
        {"parent": replace(NIC, kind="vlan"), "lower": replace(NIC, name="eth9", is_up=False)},
        "VLAN",
        "ip link set eth9 up",
    ),
    ("the parent is down", {"parent": replace(NIC, is_up=False, carrier=False)}, "carrier", "ip link set eth0 up"),
    ("the cable is out", {"parent": replace(NIC, carrier=False)}, "carrier", "cable"),
    ("no link", {"link": None}, "link", "controller"),
    ("another parent", {"link": replace(LINK, parent_index=7)}, "link", "is not on parent eth0"),
    ("the link is down", {"link": replace(LINK, up=False)}, "link", "is down inside"),
    ("no address", {"link": replace(LINK, addresses=())}, "address", "none instead of 10.0.0.5"),
    ("no lease", {"desired": LEASED, "link": replace(LINK, addresses=())}, "address", "DHCP"),
    ("a conflict", {"rival": "52:54:00:00:00:77"}, "conflict", "52:54:00:00:00:77"),
    (
        "a gateway elsewhere",
        {"gateway": "10.9.0.1", "routes": (("10.9.0.1", "lan0"),), "gateway_inside": ""},
        "ARP",
        "10.9.0.1, which is outside 10.0.0.0/24, does not answer",
    ),
    ("no route", {"routes": ()}, "gateway", "default route"),
    ("foreign MACs are dropped", {"gateway_inside": "", "gateway_outside": MAC}, "ARP", "promiscuous"),
    ("the gateway is off", {"gateway_inside": ""}, "ARP", "does not answer on this LAN"),
    ("other name servers", {"actual_servers": ("9.9.9.9",)}, "DNS", "9.9.9.9 instead of 10.0.0.1"),
]


@pytest.mark.parametrize(("_case", "fault", "subject", "words"), FAULTS, ids=[row[0] for row in FAULTS])
def test_the_first_broken_step_is_the_last_one_and_says_what_to_repair(
    _case: str, fault: dict[str, Any], subject: str, words: str
) -> None:
    *before, last = diagnosis.interface(replace(WELL, **fault))

    assert (last.subject, last.ok) == (subject, False)
    assert words in last.text
    assert all(step.ok for step in before)


FINE: dict[str, dict[str, Any]] = {
    "all is well": {},
    "no gateway": {"gateway": "", "gateway_inside": "", "routes": (), "is_default": False},
    "Docker's resolver uses the right servers": {"actual_servers": ("127.0.0.11",)},
    "another interface has the default route": {"is_default": False, "routes": (("10.1.0.1", "lan1"),)},
    "a gateway outside the subnet": {"gateway": "10.9.0.1", "routes": (("10.9.0.1", "lan0"),)},
    "a VLAN": {"parent": replace(NIC, kind="vlan"), "lower": NIC},
    "leased": {"desired": LEASED},
}


@pytest.mark.parametrize("case", FINE)
def test_a_working_path_has_no_broken_step(case: str) -> None:
    steps = list(diagnosis.interface(replace(WELL, **FINE[case])))

    assert [step.subject for step in steps if not step.ok] == []
    assert steps[-1].subject == "DNS"


@pytest.mark.parametrize(
    ("found", "broken", "words"),
    [
        (Container("Stopped", "Stopped: the spec asks for it"), "container", "stopped: Stopped"),
        (Container("", ""), "container", "missing"),
        (Container("Running", "", "10.213.0.2"), "internal network", "firewall"),
    ],
)
def test_a_container_that_does_not_run_or_is_not_reached_is_reported(found: Container, broken: str, words: str) -> None:
    last = list(diagnosis.container(found))[-1]

    assert (last.subject, last.ok) == (broken, False)
    assert words in last.text


def test_a_container_that_runs_and_is_reached_has_no_broken_step() -> None:
    assert all(step.ok for step in diagnosis.container(Container("Running", "", "10.213.0.2", True)))
