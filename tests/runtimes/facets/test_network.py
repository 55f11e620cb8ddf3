"""The network of a runtime: what blocks it, how it differs from the spec, and what the status says about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller import names
from controller.api import reasons
from controller.api.runtime_status import InterfaceStatus, LeaseStatus, RuntimeStatus
from controller.api.runtimes import Interface, RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed, ObservedInterface
from controller.runtimes.facets import network
from controller.runtimes.facets.facet import Drift
from controller.runtimes.outcome import Outcome, Report
from tests.runtimes.plan_table import ABSENT, DETACHED, EXITED, LAN, RUNNING, SPEC, desired, seen, spec

OK = RUNNING.network.interfaces[0]
SECOND = LAN.model_copy(update={"name": "lan1", "parent_interface": "eth1"})
WAITING = replace(OK, in_order=False, detail="no DHCP server answers", awaits=reasons.DHCP_SILENT)
UNRENEWED = replace(OK, remark=reasons.LEASE_UNRENEWED)
LEASE = LeaseStatus(
    address="10.0.0.9",
    prefix_length=24,
    gateway="10.0.0.1",
    dns=("10.0.0.2",),
    server="10.0.0.1",
    obtained_at="2026-01-01T00:00:00Z",
    renewed_at="2026-01-01T01:00:00Z",
)


def report(observed: Observed, *interfaces: Interface) -> Report:
    target = desired(spec(interfaces=interfaces or (LAN,))).target
    return Report(target, Outcome("ready", reasons.RUNNING, ""), 0.0, "node-1", observed)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(RUNNING, [], id="it matches"),
        pytest.param(seen(interfaces=()), [Drift("lan0", "it does not exist")], id="no interface"),
        pytest.param(seen(interfaces=DETACHED), [Drift("lan0", "lan0 is not attached")], id="not attached"),
        pytest.param(
            seen(interfaces=DETACHED, missing_parents=("eth0",)),
            [Drift("lan0", "lan0 is not attached", reasons.PARENT_MISSING)],
            id="it waits for its parent",
        ),
        pytest.param(
            seen(interfaces=(replace(OK, in_order=False),)),
            [Drift("lan0", "lan0 does not match the spec")],
            id="a fault without detail",
        ),
        pytest.param(
            seen(interfaces=(WAITING,)),
            [Drift("lan0", "no DHCP server answers", reasons.DHCP_SILENT)],
            id="it waits for what no step provides",
        ),
        pytest.param(
            seen(interfaces=(ObservedInterface("eth9", attached=True), OK), internal_attached=False),
            [Drift("eth9", "eth9 is not in the spec"), Drift("internal", "the internal network is not attached")],
            id="surplus interface, no internal network",
        ),
    ],
)
def test_drift(observed: Observed, expected: list[Drift]) -> None:
    assert network.drift(SPEC, observed) == expected


@pytest.mark.parametrize(
    ("observed", "repair", "preparation"),
    [
        pytest.param(RUNNING, (), (), id="in order"),
        pytest.param(seen(interfaces=DETACHED), (Step.REPAIR_NETWORKS,), (Step.REPAIR_NETWORKS,), id="repairable"),
        pytest.param(seen(interfaces=(WAITING,)), (), (Step.REPAIR_NETWORKS,), id="waiting, unless it starts anyway"),
    ],
)
def test_steps(observed: Observed, repair: tuple[Step, ...], preparation: tuple[Step, ...]) -> None:
    assert network.repair(desired(), observed) == repair
    assert network.preparation(desired(), observed) == preparation


@pytest.mark.parametrize(
    ("in_place", "made_from", "observed", "expected"),
    [
        (False, spec(interfaces=()), seen(interfaces=()), True),
        (True, spec(interfaces=()), seen(interfaces=()), False),
        (False, SPEC, seen(interfaces=()), False),
        (False, spec(interfaces=()), RUNNING, False),
    ],
    ids=["fixed by the backend", "in place", "by hand", "it matches already"],
)
def test_only_changed_interfaces_that_are_fixed_replace(
    in_place: bool, made_from: RuntimeSpec, observed: Observed, expected: bool
) -> None:
    assert network.replaces(desired(in_place=in_place), observed, made_from) is expected


def test_a_missing_parent_is_named() -> None:
    outcome = network.missing(seen(ABSENT, missing_parents=("eth0", "eth1")))
    assert outcome == Outcome("waiting", reasons.PARENT_MISSING, "The host has no interface eth0, eth1 now: plug it in")
    assert network.missing(RUNNING) is None


@pytest.mark.parametrize(
    ("observed", "status", "reason"),
    [
        pytest.param(RUNNING, "True", reasons.ATTACHED, id="attached"),
        pytest.param(seen(interfaces=(UNRENEWED,)), "True", reasons.LEASE_UNRENEWED, id="attached, with a remark"),
        pytest.param(seen(interfaces=(WAITING,)), "False", reasons.DHCP_SILENT, id="waiting"),
        pytest.param(seen(interfaces=(WAITING,), internal_attached=False), "False", reasons.DETACHED, id="repairable"),
    ],
)
def test_the_condition(observed: Observed, status: str, reason: str) -> None:
    found = network.condition(report(observed), observed, network.drift(SPEC, observed))
    assert found is not None
    assert (found.type, found.status, found.reason) == (names.NETWORK_ATTACHED, status, reason)
    assert found.message


def test_a_stopped_runtime_has_no_network_condition() -> None:
    assert network.condition(report(EXITED), EXITED, ()) is None


def test_the_status_has_the_interfaces_of_the_spec() -> None:
    before = RuntimeStatus(interfaces=(InterfaceStatus(name="lan1", mac_address="02:00:00:00:00:09"),))
    attached = replace(OK, address="10.0.0.9", lease=LEASE)
    observed = seen(interfaces=(attached, replace(OK, name="eth9")), internal_ip="172.20.0.2")
    facts = network.status(before, report(observed, LAN, SECOND), observed)
    lan0, lan1 = facts["interfaces"]
    assert (lan0.name, lan0.address, lan0.lease.server) == ("lan0", "10.0.0.9", "10.0.0.1")
    assert lan1 == before.interfaces[0], "a missing interface keeps its MAC address for its return"
    assert facts["internal_ip"] == "172.20.0.2"
