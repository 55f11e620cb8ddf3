"""Networks and limits are put in order on the running container."""

from __future__ import annotations

from dataclasses import replace

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
    spec,
)

CASES = [
    Case(
        "a disconnected interface is attached in place",
        desired(),
        replace(RUNNING, interfaces=DETACHED),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "an interface out of order is put in order",
        desired(),
        replace(RUNNING, interfaces=OUT_OF_ORDER),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "a missing interface is attached",
        desired(),
        replace(RUNNING, interfaces=()),
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
        replace(RUNNING, internal_attached=False),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "another address is set in place",
        desired(MOVED, changed=True),
        replace(RUNNING, interfaces=OUT_OF_ORDER),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "where the engine cannot, another address replaces",
        desired(MOVED, changed=True, in_place=False),
        replace(RUNNING, interfaces=OUT_OF_ORDER),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a hand on the network never replaces",
        desired(spec(env=()), changed=True, in_place=False),
        replace(RUNNING, interfaces=DETACHED),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "an interface waits for its parent, the program runs on",
        desired(),
        replace(RUNNING, interfaces=DETACHED, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case(
        "a running one without its parent is told, not stopped",
        desired(),
        replace(RUNNING, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case("limits change in place", desired(TWO_CPUS, changed=True), RUNNING, ["UpdateResources"], READY),
    Case(
        "the same limits written otherwise are no change",
        desired(TWO_CPUS, changed=True),
        replace(RUNNING, resources=runtimes.Resources(cpu="2000m")),
        [],
        READY,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    check(case)
