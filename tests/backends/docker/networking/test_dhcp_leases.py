"""What is observed of an interface that gets its address by DHCP."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest

from controller.api import reasons
from controller.backends.docker.networking import dhcp_leases
from controller.backends.observation import ObservedInterface
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.dhcp.leases import INFINITE, Lease
from controller.network.dhcp.machine import LeaseProblem
from tests.backends.docker.networking.interfaces import leased, static

LEASE = Lease(
    IPv4Interface("10.9.0.7/16"), IPv4Address("10.9.0.1"), 0.0, 60.0, INFINITE, 30.0, 50.0, IPv4Address("10.9.0.254")
)
SEEN = ObservedInterface("lan0", "eth0", attached=True, in_order=True)


@pytest.mark.parametrize(
    ("problem", "awaits"),
    [
        (None, reasons.ADDRESS_PENDING),
        (LeaseProblem.SILENT, reasons.DHCP_SILENT),
        (LeaseProblem.REFUSED, reasons.LEASE_REFUSED),
        (LeaseProblem.EXPIRED, reasons.LEASE_EXPIRED),
    ],
)
def test_an_interface_without_a_lease_waits_for_a_server(problem: LeaseProblem | None, awaits: str) -> None:
    found = dhcp_leases.with_lease(leased(LeaseState(problem=problem, kept=True)), SEEN)

    assert (found.in_order, found.awaits, found.lease) == (False, awaits, None)
    assert found.detail


def test_another_fault_is_not_waited_for() -> None:
    broken = ObservedInterface("lan0", "eth0", attached=True, in_order=False, detail="lan0 is down")

    found = dhcp_leases.with_lease(leased(LeaseState(kept=True)), broken)

    assert (found.detail, found.awaits) == ("lan0 is down", "")


def test_a_lease_that_nobody_keeps_is_a_fault() -> None:
    assert dhcp_leases.with_lease(leased(NOT_KEPT), SEEN).detail == "its lease is not kept"


@pytest.mark.parametrize(
    ("problem", "remark"), [(None, ""), (LeaseProblem.UNRENEWED, reasons.LEASE_UNRENEWED)], ids=["renewed", "not yet"]
)
def test_a_lease_is_reported_with_its_times(problem: LeaseProblem | None, remark: str) -> None:
    found = dhcp_leases.with_lease(leased(LeaseState(LEASE, problem, settled=True, kept=True)), SEEN)

    assert (found.in_order, found.remark) == (True, remark)
    assert found.lease is not None
    assert (found.lease.address, found.lease.prefix_length, found.lease.gateway) == ("10.9.0.7", 16, "10.9.0.254")
    assert (found.lease.renewed_at, found.lease.expires_at) == ("1970-01-01T00:01:00Z", "")


def test_a_static_or_absent_interface_has_no_lease() -> None:
    absent = ObservedInterface("lan0", "eth0", in_order=False)

    assert dhcp_leases.with_lease(static(), SEEN) is SEEN
    assert dhcp_leases.with_lease(leased(), absent) is absent


@pytest.mark.parametrize(
    ("device_id", "name"),
    [("PLC-1", "PLC-1"), ("line_2.plc", "line-2-plc"), ("plc._-", "plc"), ("a" * 62 + "..b", "a" * 62)],
)
def test_the_host_name_has_only_the_characters_of_one(device_id: str, name: str) -> None:
    assert dhcp_leases.host_name(device_id) == name
