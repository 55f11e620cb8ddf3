"""What is observed of an interface that gets its address by DHCP."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from controller.api import reasons
from controller.backends.docker.networking import dhcp_leases
from controller.backends.observation import ObservedInterface
from controller.network.dhcp.lease_manager import NOT_KEPT, LeaseState
from controller.network.dhcp.leases import INFINITE, Lease
from controller.network.dhcp.machine import Declined, LeaseProblem
from tests.backends.docker.networking.interfaces import leased, static

LEASE = Lease(
    IPv4Interface("10.9.0.7/16"), IPv4Address("10.9.0.1"), 0.0, 60.0, 120.0, 60.0, 105.0, IPv4Address("10.9.0.254")
)
SEEN = ObservedInterface("lan0", "eth0", attached=True, in_order=True)


@pytest.mark.parametrize(
    ("problem", "awaits"),
    [
        (None, reasons.ADDRESS_PENDING),
        (LeaseProblem.SILENT, reasons.DHCP_SILENT),
        (LeaseProblem.DENIED, reasons.LEASE_REFUSED),
        (LeaseProblem.REFUSED, reasons.LEASE_REFUSED),
        (LeaseProblem.EXPIRED, reasons.LEASE_EXPIRED),
    ],
)
def test_an_interface_without_a_lease_waits_for_a_server(problem: LeaseProblem | None, awaits: str) -> None:
    found = dhcp_leases.with_lease(leased(LeaseState(problem=problem, kept=True)), SEEN)

    assert (found.in_order, found.awaits, found.lease) == (False, awaits, None)
    assert found.detail


def test_a_declined_address_is_reported_with_the_machine_that_has_it() -> None:
    declined = Declined(IPv4Address("10.9.0.7"), bytes.fromhex("02cd00000042"))
    state = LeaseState(problem=LeaseProblem.TAKEN, settled=True, kept=True, declined=declined)

    found = dhcp_leases.with_lease(leased(state), SEEN)

    assert (found.in_order, found.awaits) == (False, reasons.ADDRESS_CONFLICT)
    assert "assigned 10.9.0.7, but the machine 02:cd:00:00:00:42 has it" in found.detail


def test_another_fault_is_not_waited_for() -> None:
    broken = ObservedInterface("lan0", "eth0", attached=True, in_order=False, detail="lan0 is down")

    found = dhcp_leases.with_lease(leased(LeaseState(kept=True)), broken)

    assert (found.detail, found.awaits) == ("lan0 is down", "")


def test_a_lease_that_nobody_keeps_is_a_fault() -> None:
    assert dhcp_leases.with_lease(leased(NOT_KEPT), SEEN).detail == "its lease is not kept"


def test_a_renewal_changes_nothing_that_is_observed() -> None:
    renewed = replace(LEASE, renewed=120.0)
    first, second = (
        dhcp_leases.with_lease(leased(LeaseState(lease, settled=True, kept=True)), SEEN) for lease in (LEASE, renewed)
    )

    assert first == second
    assert (first.in_order, first.remark) == (True, "")
    assert first.lease is not None
    assert (first.lease.address, first.lease.prefix_length, first.lease.gateway) == ("10.9.0.7", 16, "10.9.0.254")
    assert first.lease.obtained_at == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("duration", "expires_at"), [(120.0, "1970-01-01T00:03:00Z"), (INFINITE, "")], ids=["limited", "infinite"]
)
def test_a_lease_that_is_not_renewed_is_reported_with_its_times(duration: float, expires_at: str) -> None:
    lease = replace(LEASE, duration=duration)

    found = dhcp_leases.with_lease(leased(LeaseState(lease, LeaseProblem.UNRENEWED, settled=True, kept=True)), SEEN)

    assert (found.in_order, found.remark) == (True, reasons.LEASE_UNRENEWED)
    assert found.lease is not None
    assert (found.lease.renewed_at, found.lease.expires_at) == ("1970-01-01T00:01:00Z", expires_at)


def test_a_static_or_absent_interface_has_no_lease() -> None:
    absent = ObservedInterface("lan0", "eth0", in_order=False)

    assert dhcp_leases.with_lease(static(), SEEN) is SEEN
    assert dhcp_leases.with_lease(leased(), absent) is absent


@pytest.mark.parametrize(
    ("device_id", "name"),
    [
        ("plc-1", "plc-1"),
        ("Line_3.PLC", "line-3-plc"),
        ("plc._-", "plc"),
        ("a" * 62 + "..b", "a" * 62),
        ("a" * 62 + "-bcdefgh", "a" * 62),
    ],
)
def test_the_host_name_has_only_the_characters_of_one(device_id: str, name: str) -> None:
    assert dhcp_leases.host_name(device_id) == name
