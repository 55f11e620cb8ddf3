"""Plans for a changed spec: what replaces the container, and what never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.api import reasons, runtimes
from controller.runtimes import plan
from tests.runtimes.plan_table import (
    ENV,
    EXITED,
    MISSING,
    NO_PARENT,
    PINNED_2,
    PROGRESS,
    READY,
    RUNNING,
    TWO_CPUS,
    VERSION_2,
    Case,
    check,
    desired,
    seen,
    spec,
    steps,
)

CASES = [
    Case("a container that matches the spec is left alone", desired(), RUNNING, [], READY),
    Case("a difference without a new generation does nothing", desired(ENV), RUNNING, [], READY),
    Case("changed limits without a new generation do nothing", desired(TWO_CPUS), RUNNING, [], READY),
    Case("a changed tag without a new generation is not resolved", desired(VERSION_2), RUNNING, [], READY),
    Case(
        "another node name or pull policy needs no new container",
        desired(spec(node_name="n", image_pull_policy="Always"), changed=True),
        RUNNING,
        [],
        READY,
    ),
    Case(
        "the order of variables is no difference",
        desired(spec(env=(ENV.env[0], runtimes.EnvVar(name="B"))), changed=True),
        replace(RUNNING, made_from=spec(env=(runtimes.EnvVar(name="B"), ENV.env[0]))),
        [],
        READY,
    ),
    Case(
        "a reclaim policy is no difference",
        desired(spec(volumes=(runtimes.Volume(name="v", mount_path="/v", reclaim_policy="Delete"),)), changed=True),
        replace(RUNNING, made_from=spec(volumes=(runtimes.Volume(name="v", mount_path="/v"),))),
        [],
        READY,
    ),
    Case("another version is resolved first", desired(VERSION_2, changed=True), RUNNING, ["ResolveImage"], PROGRESS),
    Case("another image replaces", PINNED_2, RUNNING, ["ReplaceContainer"], PROGRESS),
    Case(
        "two references to one image are no difference",
        replace(PINNED_2, target=replace(PINNED_2.target, image="pin-1")),
        RUNNING,
        [],
        READY,
    ),
    Case(
        "the same reference with another form of its pin is no difference",
        replace(desired(changed=True), target=replace(desired().target, image="sha256:other-form")),
        RUNNING,
        [],
        READY,
    ),
    Case("other variables replace", desired(ENV, changed=True), RUNNING, ["ReplaceContainer"], PROGRESS),
    Case(
        "realtime replaces",
        desired(spec(realtime=runtimes.Realtime(enabled=True)), changed=True),
        RUNNING,
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a new volume replaces",
        desired(spec(volumes=(runtimes.Volume(name="v", mount_path="/v"),)), changed=True),
        RUNNING,
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a crashing container is replaced too",
        desired(ENV, changed=True),
        replace(RUNNING, state="restarting"),
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "a replacement waits for its parent interface",
        desired(ENV, changed=True),
        seen(RUNNING, missing_parents=NO_PARENT),
        [],
        MISSING,
    ),
    Case(
        "a replacement outside the allowed images is refused",
        desired(ENV, changed=True, image_allowed=False),
        RUNNING,
        [],
        ("stalled", reasons.IMAGE_NOT_ALLOWED),
    ),
    Case(
        "the setting of allowed images does not affect a running container",
        desired(image_allowed=False),
        RUNNING,
        [],
        READY,
    ),
    Case(
        "a failed replacement is not retried",
        desired(ENV, changed=True, failed_generation=2),
        RUNNING,
        [],
        ("stalled", reasons.REPLACE_FAILED),
    ),
    Case(
        "after a failed replacement the old container is kept running",
        desired(ENV, changed=True, failed_generation=2),
        EXITED,
        ["StartContainer"],
        PROGRESS,
    ),
    Case(
        "the next generation is tried",
        desired(ENV, changed=True, failed_generation=1),
        RUNNING,
        ["ReplaceContainer"],
        PROGRESS,
    ),
    Case(
        "an interrupted replacement is finished first",
        desired(ENV, changed=True),
        replace(RUNNING, predecessor="c0"),
        ["FinishReplacement"],
        PROGRESS,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_changes_without_a_new_generation(case: Case) -> None:
    settled = replace(case.desired, applied_generation=case.desired.target.generation)
    assert set(steps(plan.make(settled, case.observed))) <= {"StartContainer", "FinishReplacement"}
