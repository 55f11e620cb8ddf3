"""Plans that repair networks and limits of a running container."""

from __future__ import annotations

import pytest

from controller.api import reasons, runtimes
from tests.runtimes.plan_table import (
    DETACHED,
    MISSING,
    MOVED,
    NO_PARENT,
    OUT_OF_ORDER,
    PROGRESS,
    READY,
    RUNNING,
    TWO_CPUS,
    Case,
    check,
    desired,
    seen,
    spec,
)

CASES = [
    Case(
        "a disconnected interface is attached in place",
        desired(),
        seen(RUNNING, interfaces=DETACHED),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "an interface with drift is repaired",
        desired(),
        seen(RUNNING, interfaces=OUT_OF_ORDER),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "a missing interface is attached",
        desired(),
        seen(RUNNING, interfaces=()),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "a surplus interface is detached",
        desired(spec(interfaces=())),
        RUNNING,
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "the internal network is attached again",
        desired(),
        seen(RUNNING, internal_attached=False),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "a changed address is set in place",
        desired(MOVED, changed=True),
        seen(RUNNING, interfaces=OUT_OF_ORDER),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "a changed address replaces where the engine cannot set it",
        desired(MOVED, changed=True, in_place=False),
        seen(RUNNING, interfaces=OUT_OF_ORDER),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a manual network change never replaces",
        desired(spec(env=()), changed=True, in_place=False),
        seen(RUNNING, interfaces=DETACHED),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "an interface waits for its parent while the program runs",
        desired(),
        seen(RUNNING, interfaces=DETACHED, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case(
        "a running container without its parent is reported, not stopped",
        desired(),
        seen(RUNNING, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case("limits change in place", desired(TWO_CPUS, changed=True), RUNNING, ["UpdateResources"], READY),
    Case(
        "equal limits in another notation are no change",
        desired(TWO_CPUS, changed=True),
        seen(RUNNING, limits=runtimes.Resources(cpu="2000m")),
        [],
        READY,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    check(case)
