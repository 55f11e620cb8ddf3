"""Drift is gathered from all facets; spec changes are reported by the names of fields, never with their values."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from controller import names
from controller.api import runtimes
from controller.backends.observation import ObservedDevice
from controller.runtimes import drift, facets
from controller.runtimes.facets.table import FACETS
from tests.runtimes.plan_table import DETACHED, RUNNING, SPEC, seen


def spec(**fields: Any) -> runtimes.RuntimeSpec:
    return runtimes.RuntimeSpec.model_validate({"deviceId": "plc-1", "image": "plc", "version": "1", **fields})


@pytest.mark.parametrize(
    ("now", "made_from", "fields"),
    [
        pytest.param(spec(), spec(), (), id="nothing"),
        pytest.param(spec(version="2"), spec(), ("spec.version",), id="a value"),
        pytest.param(spec(digest=f"sha256:{'0' * 64}"), spec(), ("spec.digest",), id="a value that was not set"),
        pytest.param(
            spec(realtime={"enabled": True}, resources={"cpu": "1"}),
            spec(),
            ("spec.realtime.enabled",),
            id="nested fields, except those that change in place",
        ),
        pytest.param(
            spec(env=[{"name": "A", "value": "secret"}, {"name": "B"}]),
            spec(env=[{"name": "A", "value": "2"}, {"name": "C"}]),
            ("spec.env[A]", "spec.env[B]", "spec.env[C]"),
            id="list entries by name and without values",
        ),
        pytest.param(
            spec(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "a"}}}]),
            spec(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "b"}}}]),
            ("spec.env[A]",),
            id="another key of a Secret",
        ),
    ],
)
def test_the_changed_fields_are_named(
    now: runtimes.RuntimeSpec, made_from: runtimes.RuntimeSpec, fields: tuple[str, ...]
) -> None:
    assert drift.changed_fields(now, made_from) == fields


def test_the_drift_of_all_facets_is_one_sentence() -> None:
    port = ObservedDevice("line", in_order=False, detail="/dev/line0 is missing")
    observed = seen(interfaces=DETACHED, fault="eth1 is not in the runtime", devices=(port,))
    assert drift.summary(SPEC, observed) == (
        "lan0: lan0 is not attached; dedicated interface: eth1 is not in the runtime; line: /dev/line0 is missing"
    )
    assert drift.summary(SPEC, RUNNING) == ""


def test_facets_can_share_a_condition() -> None:
    port = ObservedDevice("line", in_order=False, detail="/dev/line0 is missing")
    observed = seen(fault="eth1 is not in the runtime", devices=(port,))
    assert [found.name for found in drift.of(SPEC, observed, names.NETWORK_ATTACHED)] == ["dedicated interface"]


def test_every_facet_is_in_the_table() -> None:
    modules = {path.stem for path in Path(facets.__file__).parent.glob("*.py")} - {"__init__", "facet", "table"}
    found = [importlib.import_module(f"controller.runtimes.facets.{name}").FACET for name in sorted(modules)]
    assert len(found) == len(FACETS)
    assert all(facet in FACETS for facet in found)
