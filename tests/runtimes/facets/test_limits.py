"""Limits change on the existing container, and only for a changed spec."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.runtimes import Resources
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.runtimes.facets import limits
from tests.runtimes.plan_table import RUNNING, TWO_CPUS, desired, seen


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ({"cpu": "0.5", "memory": "1Gi"}, False),
        ({"cpu": "500m", "memory": str(2**30)}, False),
        ({"cpu": "500m"}, True),
        ({"cpu": "1", "memory": "1Gi"}, True),
    ],
    ids=["the same", "other notation", "no limit", "another limit"],
)
def test_limits_are_compared_as_numbers(actual: dict[str, Any], expected: bool) -> None:
    assert limits.differ(Resources(cpu="0.5", memory="1Gi"), Resources(**actual)) is expected


@pytest.mark.parametrize(
    ("changed", "observed", "values", "steps"),
    [
        pytest.param(True, RUNNING, {}, (Step.UPDATE_RESOURCES,), id="a changed spec"),
        pytest.param(False, RUNNING, {}, (), id="without a new generation"),
        pytest.param(True, seen(limits=Resources(cpu="2000m")), {}, (), id="it has these limits"),
        pytest.param(True, seen(made_from=None), {"applied_generation": None}, (), id="adopted and unreadable"),
    ],
)
def test_limits_are_updated_in_place(
    changed: bool, observed: Observed, values: dict[str, Any], steps: tuple[Step, ...]
) -> None:
    assert limits.update(desired(TWO_CPUS, changed=changed, **values), observed) == steps
