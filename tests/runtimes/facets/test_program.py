"""What a program is created with: only differences that it would notice replace its container."""

from __future__ import annotations

import pytest

from controller.api.runtimes import EnvVar, Realtime, RuntimeSpec, Volume
from controller.runtimes.facets import program
from tests.runtimes.plan_table import RUNNING, SPEC, desired, spec

A, B = EnvVar(name="A", value="1"), EnvVar(name="B")
DATA = Volume(name="data", mount_path="/data")


@pytest.mark.parametrize(
    ("now", "made_from", "expected"),
    [
        pytest.param(SPEC, SPEC, False, id="the same"),
        pytest.param(spec(env=(A, B)), spec(env=(B, A)), False, id="variables in another order"),
        pytest.param(spec(env=(A,)), SPEC, True, id="another variable"),
        pytest.param(spec(env=(A,)), spec(env=(EnvVar(name="A", value="2"),)), True, id="another value"),
        pytest.param(spec(volumes=(DATA,)), SPEC, True, id="another volume"),
        pytest.param(
            spec(volumes=(DATA,)),
            spec(volumes=(DATA.model_copy(update={"reclaim_policy": "Delete"}),)),
            False,
            id="what happens to the volume later",
        ),
        pytest.param(spec(realtime=Realtime(enabled=True)), SPEC, True, id="realtime"),
        pytest.param(spec(interfaces=(), version="2"), SPEC, False, id="what other facets compare"),
    ],
)
def test_replacement(now: RuntimeSpec, made_from: RuntimeSpec, expected: bool) -> None:
    assert program.replaces(desired(now), RUNNING, made_from) is expected
