"""What an interface of the spec becomes inside the runtime, with and without a lease."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from controller.api import runtimes
from controller.network import addresses, desired_interface
from controller.network.desired_interface import DesiredInterface
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.dhcp.leases import Lease

MAC = "02:00:00:00:00:0a"
STATIC: dict[str, Any] = {"mode": "Static", "address": "10.0.0.2", "subnet": "10.0.0.0/24"}
LEASE = Lease(
    IPv4Interface("10.9.0.7/16"), IPv4Address("10.9.0.1"), 0.0, 0.0, 60.0, 30.0, 50.0,
    IPv4Address("10.9.0.254"), (IPv4Address("10.9.0.53"),),
)  # fmt: skip
ALONE = LeaseState(replace(LEASE, address=IPv4Interface("10.9.0.7/32"), name_servers=()), settled=True)
UNDECIDED, WITHOUT, LEASED = LeaseState(kept=True), LeaseState(settled=True, kept=True), LeaseState(LEASE, settled=True)


def spec(*interfaces: dict[str, Any]) -> runtimes.RuntimeSpec:
    """A spec with these interfaces on eth0."""
    given = [{"name": f"lan{number}", "parentInterface": "eth0", **one} for number, one in enumerate(interfaces)]
    return runtimes.RuntimeSpec.model_validate({"deviceId": "plc1", "image": "plc", "interfaces": given})


def desired(state: LeaseState, **fields: Any) -> DesiredInterface:
    """One interface with the state of its lease."""
    return DesiredInterface(spec(fields).interfaces[0], MAC, 7, state)


@pytest.mark.parametrize(
    ("one", "address", "gateway", "servers", "pending"),
    [
        (desired(NOT_KEPT, **STATIC), "10.0.0.2/24", "", (), False),
        (
            desired(NOT_KEPT, **STATIC, gateway="10.0.0.1", dns=["10.0.0.53"]),
            "10.0.0.2/24",
            "10.0.0.1",
            ("10.0.0.53",),
            False,
        ),
        (desired(UNDECIDED), None, "", (), True),
        (desired(WITHOUT), None, "", (), False),
        (desired(LEASED), "10.9.0.7/16", "10.9.0.254", ("10.9.0.53",), False),
        (desired(LEASED, gateway="10.9.0.1", dns=["9.9.9.9"]), "10.9.0.7/16", "10.9.0.1", ("9.9.9.9",), False),
        (desired(UNDECIDED, gateway="10.9.0.1"), None, "", (), True),
        (desired(LEASED, gateway="10.8.0.1"), "10.9.0.7/16", "10.9.0.254", ("10.9.0.53",), False),
        (desired(ALONE, gateway="10.8.0.1"), "10.9.0.7/32", "10.8.0.1", (), False),
        (desired(NOT_KEPT, **STATIC, gateway="10.8.0.1"), "10.0.0.2/24", "10.8.0.1", (), False),
    ],
    ids=[
        "static",
        "static with a gateway",
        "DHCP has not answered",
        "no lease",
        "leased",
        "the spec wins",
        "its gateway waits for an address",
        "the spec's gateway is outside the leased subnet",
        "the leased subnet is a single address",
        "a static gateway outside the subnet",
    ],
)
def test_address_gateway_and_name_servers_come_from_the_spec_or_the_lease(
    one: DesiredInterface, address: str | None, gateway: str, servers: tuple[str, ...], pending: bool
) -> None:
    assert one.address == (IPv4Interface(address) if address else None)
    assert (one.gateway, one.name_servers, one.pending) == (gateway, servers, pending)


def test_a_subnet_may_be_written_with_the_address_of_a_host() -> None:
    one = desired(NOT_KEPT, mode="Static", address="10.0.0.2", subnet="10.0.0.2/24")
    assert (one.subnet, one.address) == (IPv4Network("10.0.0.0/24"), IPv4Interface("10.0.0.2/24"))


def test_a_mac_address_comes_from_the_spec_else_is_known_else_derived() -> None:
    identity = ("install", "edge", "plc1")
    interfaces = spec({**STATIC, "macAddress": "02:AA:00:00:00:01"}, {}, {})

    found = desired_interface.of_spec(interfaces, identity, {"lan0": MAC, "lan1": "02:BB:00:00:00:01"})

    assert [each.mac_address for each in found] == [
        "02:aa:00:00:00:01",
        "02:bb:00:00:00:01",
        addresses.derived_mac(*identity, "lan2"),
    ]
