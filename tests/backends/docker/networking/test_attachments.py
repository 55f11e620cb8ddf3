"""What the controller sets up itself, because Docker did not or cannot."""

from __future__ import annotations

from typing import Any

import pytest

from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.networking import attachments
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.lease_manager import LeaseState
from tests.backends.docker.networking.interfaces import MAC, leased, static


def container(*, mac: str = "", network: str = "", dns: list[str] | None = None) -> Container:
    """An inspected container."""
    document: dict[str, Any] = {"Config": {"MacAddress": mac}, "HostConfig": {"NetworkMode": network, "Dns": dns}}
    return Container(document)


@pytest.mark.parametrize(
    ("version", "mac", "network", "expected"),
    [
        ("1.41", MAC.upper(), "edge-lan-x", True),
        ("1.41", MAC, "edge-lan-y", False),
        ("1.41", "02:00:00:00:00:0b", "edge-lan-x", False),
        ("1.51", MAC, "edge-lan-x", False),
        ("1.54", "", "", True),
    ],
    ids=["its own network", "another network", "another MAC", "an engine that assigns one", "an engine that takes one"],
)
def test_reconnecting_keeps_the_mac_address(version: str, mac: str, network: str, expected: bool) -> None:
    found = container(mac=mac, network=network)

    assert attachments.pins_mac(found, "edge-lan-x", static(), Capabilities.of(version)) is expected


DNS = static(dns=["10.1.0.1"])


@pytest.mark.parametrize(
    ("interfaces", "given", "found", "expected"),
    [
        ([DNS], ["10.1.0.1"], ("10.1.0.1",), False),
        ([DNS], ["10.1.0.1"], ("127.0.0.11",), False),
        ([DNS], ["10.1.0.9"], ("127.0.0.11",), True),
        ([DNS], None, (), True),
        ([static()], None, ("8.8.8.8",), False),
        ([DNS, leased()], None, ("8.8.8.8",), False),
        ([DNS, leased(LeaseState(settled=True))], None, ("8.8.8.8",), True),
    ],
    ids=[
        "in order",
        "Docker forwards",
        "Docker forwards elsewhere",
        "none",
        "none desired",
        "DHCP pending",
        "no lease",
    ],
)
def test_name_servers_are_written_only_once_all_are_known(
    interfaces: list[DesiredInterface], given: list[str] | None, found: tuple[str, ...], expected: bool
) -> None:
    assert attachments.uses_other_servers(container(dns=given), interfaces, found) is expected
