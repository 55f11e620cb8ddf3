"""Plans that start, stop and restart a container, each only once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.api import reasons
from controller.api.runtime_status import RestartIntent
from controller.backends.observation import Observed
from controller.runtimes import plan
from tests.runtimes.plan_table import (
    ABSENT,
    CREATE,
    DETACHED,
    ENV,
    EXITED,
    MISSING,
    NO_PARENT,
    PORT,
    PROGRESS,
    READY,
    RESTART,
    RUNNING,
    STARTED,
    STOP,
    STOPPED,
    TOKEN,
    TWO_CPUS,
    Case,
    check,
    desired,
    seen,
)

START = ["StartContainer"]

CASES = [
    Case("a container stopped by hand is started", desired(), EXITED, START, PROGRESS),
    Case(
        "a stopped container's networks are repaired before its start",
        desired(),
        seen(EXITED, interfaces=DETACHED),
        ["RepairNetworks", "StartContainer"],
        PROGRESS,
    ),
    Case(
        "changed limits are set before the start",
        desired(TWO_CPUS, changed=True),
        EXITED,
        ["UpdateResources", "StartContainer"],
        PROGRESS,
    ),
    Case(
        "a changed stopped container is replaced, not started",
        desired(ENV, changed=True),
        EXITED,
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case("no start without its parent interface", desired(), seen(EXITED, missing_parents=NO_PARENT), [], MISSING),
    Case(
        "no creation without its parent interface",
        desired(changed=True),
        seen(ABSENT, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case(
        "no start while another machine has the address",
        desired(),
        replace(EXITED, start_blockers=((reasons.ADDRESS_CONFLICT, "it is taken"),)),
        [],
        ("waiting", reasons.ADDRESS_CONFLICT),
    ),
    Case(
        "no restart while another machine has the address",
        desired(RESTART, changed=True),
        replace(RUNNING, start_blockers=((reasons.ADDRESS_CONFLICT, "it is taken"),)),
        [],
        ("waiting", reasons.ADDRESS_CONFLICT),
    ),
    Case(
        "no start with a refused dedicated interface",
        desired(),
        replace(EXITED, start_blockers=((reasons.DEDICATED_REFUSED, "it is Wi-Fi"),)),
        [],
        ("stalled", reasons.DEDICATED_REFUSED),
    ),
    Case(
        "a missing dedicated interface is moved in without a restart",
        desired(),
        seen(RUNNING, fault="it is not there"),
        ["RepairNetworks"],
        ("retry", reasons.DETACHED),
    ),
    Case(
        "the dedicated interface of a stopped runtime is returned",
        desired(STOP),
        seen(EXITED, passed_through=True),
        ["RepairNetworks"],
        PROGRESS,
    ),
    Case(
        "no creation outside the allowed images",
        desired(changed=True, image_allowed=False, image_source=""),
        ABSENT,
        [],
        ("stalled", reasons.IMAGE_NOT_ALLOWED),
    ),
    Case(
        "a container whose image is refused now is still started", desired(image_allowed=False), EXITED, START, PROGRESS
    ),
    Case("... and recreated", desired(changed=True, image_allowed=False), ABSENT, CREATE, PROGRESS),
    Case("Stopped stops", desired(STOP, changed=True), RUNNING, ["StopContainer"], PROGRESS),
    Case(
        "Stopped stops a crashing container",
        desired(STOP, changed=True),
        replace(RUNNING, state="restarting"),
        ["StopContainer"],
        PROGRESS,
    ),
    Case(
        "Stopped stops even where a start would be refused",
        desired(STOP, changed=True, image_allowed=False),
        seen(RUNNING, missing_parents=NO_PARENT),
        ["StopContainer"],
        PROGRESS,
    ),
    Case("a container started by hand against Stopped is stopped", desired(STOP), RUNNING, ["StopContainer"], PROGRESS),
    Case(
        "a stopped container stays stopped, other changes wait for its start",
        desired(ENV.model_copy(update={"desired_state": "Stopped"}), changed=True),
        EXITED,
        [],
        STOPPED,
    ),
    Case("Stopped creates nothing", desired(STOP, changed=True), ABSENT, [], STOPPED),
    Case("a new restartedAt restarts", desired(RESTART, changed=True), RUNNING, ["RestartContainer"], PROGRESS),
    Case(
        "a restart waits for its parent interface",
        desired(RESTART, changed=True),
        seen(RUNNING, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case(
        "a recorded restart is made",
        desired(RESTART, changed=True, restart=RestartIntent(token=TOKEN, previous_started_at=STARTED)),
        RUNNING,
        ["RestartContainer"],
        PROGRESS,
    ),
    Case(
        "a completed restart is not repeated",
        desired(RESTART, changed=True, restart=RestartIntent(token=TOKEN, previous_started_at=STARTED)),
        replace(RUNNING, started_at="2026-02-02T00:00:01Z"),
        [],
        READY,
    ),
    Case(
        "a restart interrupted between stop and start is a start",
        desired(RESTART, changed=True, restart=RestartIntent(token=TOKEN, previous_started_at=STARTED)),
        EXITED,
        ["StartContainer"],
        PROGRESS,
    ),
    Case(
        "a container created with the restartedAt needs no restart",
        desired(RESTART, changed=True),
        replace(RUNNING, made_from=RESTART),
        [],
        READY,
    ),
    Case(
        "an adopted container is not restarted",
        desired(RESTART, applied_generation=None),
        replace(RUNNING, uid="uid-0"),
        [],
        READY,
    ),
    Case(
        "a port that needs a new container is reported and stops nothing",
        desired(changed=True),
        replace(RUNNING, devices=(PORT,)),
        [],
        ("stalled", reasons.DEVICES_UNSUPPORTED),
    ),
    Case(
        "... until a restart is requested",
        desired(RESTART, changed=True),
        replace(RUNNING, devices=(PORT,)),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case("... or it is started", desired(), replace(EXITED, devices=(PORT,)), ["ReplaceContainer"], PROGRESS),
    Case(
        "... but not repeatedly",
        desired(failed_generation=2),
        replace(EXITED, devices=(PORT,)),
        START,
        PROGRESS,
    ),
    Case(
        "a start satisfies the requested restart", desired(RESTART, changed=True), EXITED, ["StartContainer"], PROGRESS
    ),
    Case(
        "a stopped container is not restarted",
        desired(RESTART.model_copy(update={"desired_state": "Stopped"}), changed=True),
        EXITED,
        [],
        STOPPED,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    check(case)


def test_a_restart_intent_records_the_start_it_replaces() -> None:
    made = plan.make(desired(RESTART, changed=True), RUNNING)
    assert made.restart == RestartIntent(token=TOKEN, previous_started_at=STARTED)


@pytest.mark.parametrize("observed", [ABSENT, EXITED], ids=["absent", "exited"])
def test_a_start_satisfies_a_pending_restart(observed: Observed) -> None:
    made = plan.make(desired(RESTART, changed=True), observed)
    assert made.restart == RestartIntent(token=TOKEN)


def test_a_replacement_satisfies_a_pending_restart() -> None:
    made = plan.make(desired(RESTART, changed=True), replace(RUNNING, devices=(PORT,)))
    assert made.restart == RestartIntent(token=TOKEN)


def test_an_unnecessary_restart_is_recorded_as_satisfied() -> None:
    made = plan.make(desired(RESTART, changed=True), replace(RUNNING, made_from=RESTART))
    assert made.restart == RestartIntent(token=TOKEN)
