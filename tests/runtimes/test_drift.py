"""Spec changes are reported by the names of the fields, never with their values."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import runtimes
from controller.runtimes import drift


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
