"""Plans that create, remove and adopt a container, and when nothing may be touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.api import reasons, runtimes
from controller.backends.observation import Observed
from controller.runtimes import plan
from tests.runtimes.plan_table import (
    ABSENT,
    CREATE,
    ENV,
    EXITED,
    LAN,
    PROGRESS,
    READY,
    RUNNING,
    SPEC,
    Case,
    check,
    desired,
    seen,
    spec,
)

CASES = [
    Case("a new runtime is created and started", desired(changed=True), ABSENT, CREATE, PROGRESS),
    Case(
        "a deleted runtime is removed",
        desired(deleting=True),
        RUNNING,
        ["RemoveContainer", "RemoveNetworks"],
        ("gone", "Deleted"),
    ),
    Case(
        "a deleted runtime leaves no networks",
        desired(deleting=True),
        ABSENT,
        ["RemoveContainer", "RemoveNetworks"],
        ("gone", "Deleted"),
    ),
    Case("a removed container is recreated", desired(), ABSENT, CREATE, PROGRESS),
    Case(
        "a container that a crash left unstarted is started",
        desired(changed=True),
        replace(EXITED, state="created", started_at=""),
        ["StartContainer"],
        PROGRESS,
    ),
    Case(
        "a paused spec is left alone", desired(spec(paused=True), changed=True), ABSENT, [], ("paused", reasons.PAUSED)
    ),
    Case(
        "a foreign container is never touched",
        desired(changed=True),
        Observed(foreign="a container of compose"),
        [],
        ("stalled", reasons.NAME_TAKEN),
    ),
    Case(
        "the container of another namespace's runtime is never touched",
        desired(changed=True),
        Observed(neighbour="Runtime other/plc-1 owns the container plc-1"),
        [],
        ("stalled", reasons.NAME_TAKEN),
    ),
    Case(
        "a container paused by hand is left alone and reported",
        desired(),
        replace(RUNNING, state="paused"),
        [],
        ("stalled", reasons.CONTAINER_PAUSED),
    ),
    Case("a container being removed is awaited", desired(), replace(EXITED, state="removing"), [], PROGRESS),
    Case("a dead container is awaited", desired(), replace(EXITED, state="dead"), [], PROGRESS),
    Case(
        "an equal container of an earlier object is adopted",
        desired(applied_generation=None),
        replace(RUNNING, uid="uid-0"),
        [],
        READY,
    ),
    Case(
        "an adopted container is changed where the spec differs",
        desired(ENV, applied_generation=None),
        replace(RUNNING, uid="uid-0"),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a container with an unreadable spec is adopted unchanged",
        desired(ENV, applied_generation=None),
        replace(RUNNING, made_from=None, uid="uid-0"),
        [],
        READY,
    ),
    Case("... and stays so", desired(ENV), replace(RUNNING, made_from=None), [], READY),
    Case(
        "... until the spec changes",
        desired(ENV, changed=True),
        replace(RUNNING, made_from=None),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a label of an older version without newer fields is equal",
        desired(changed=True),
        replace(
            RUNNING,
            made_from=runtimes.RuntimeSpec.model_validate(
                {"deviceId": "plc-1", "image": "registry/plc", "version": "1", "interfaces": [LAN.wire()]}
            ),
        ),
        [],
        READY,
    ),
    Case(
        "a label of a newer version with unknown fields is equal",
        desired(changed=True),
        replace(RUNNING, made_from=runtimes.RuntimeSpec.model_validate({**SPEC.wire(), "affinity": {"zone": 7}})),
        [],
        READY,
    ),
    Case(
        "a crash loop is left to Docker and reported",
        desired(),
        replace(RUNNING, state="restarting", exit_code=3),
        [],
        ("retry", reasons.CRASHED),
    ),
    Case(
        "the networks of a crash loop are left to its next start",
        desired(),
        seen(RUNNING, state="restarting", interfaces=()),
        [],
        ("retry", reasons.CRASHED),
    ),
    Case(
        "an unhealthy container is not ready and not killed",
        desired(),
        replace(RUNNING, health="unhealthy"),
        [],
        ("waiting", reasons.UNHEALTHY),
    ),
    Case("a starting health check does not affect ready", desired(), replace(RUNNING, health="starting"), [], READY),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    check(case)


def test_the_message_of_a_crash_loop_names_the_exit_code() -> None:
    assert "exit code 3" in plan.make(desired(), replace(RUNNING, state="restarting", exit_code=3)).outcome.message


def test_the_message_names_the_missing_interface() -> None:
    assert "eth0" in plan.make(desired(changed=True), seen(ABSENT, missing_parents=("eth0",))).outcome.message
