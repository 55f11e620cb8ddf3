"""Events of the API group events.k8s.io, which are stored as core/v1."""

from __future__ import annotations

from typing import Any

import pytest

from controller.apiserver.compat import events

NEW_EVENT: dict[str, Any] = {
    "metadata": {"name": "one", "namespace": "edge"}, "involvedObject": {"namespace": "edge"},
    "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "a", "action": "b",
    "reportingComponent": "c", "reportingInstance": "d",
}  # fmt: skip


def fields(causes: list[Any]) -> list[str]:
    """The fields of causes."""
    return [cause.field for cause in causes]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []), ({"eventTime": None}, ["eventTime"]), ({"type": "Odd"}, ["type"]), ({"series": {}}, ["series.count"]),
        ({"series": {"count": None}}, ["series.count"]), ({"series": {"count": 2}}, []), ({"action": ""}, ["action"]),
        ({"reportingComponent": ""}, ["reportingComponent"] * 3), ({"message": "é" * 513}, ["message"]),
        ({"involvedObject": {"namespace": "other"}}, ["involvedObject.namespace"]),
        ({"involvedObject": None}, ["involvedObject.namespace"]),
    ],
)  # fmt: skip
def test_new_events(change: dict[str, Any], expected: list[str]) -> None:
    assert fields(events.faults({**NEW_EVENT, **change})) == expected


def test_what_an_event_is_about_is_fixed() -> None:
    assert fields(events.change_faults({**NEW_EVENT, "reason": "b", "message": ""}, NEW_EVENT)) == ["reason"]


def test_an_event_survives_the_conversion_between_its_groups() -> None:
    item = {
        "apiVersion": "events.k8s.io/v1",
        "regarding": {"name": "a"},
        "note": "b",
        "deprecatedCount": 1,
        "type": "c",
    }
    core = events.to_core(item, None)
    assert core == {"apiVersion": "v1", "involvedObject": {"name": "a"}, "message": "b", "count": 1, "type": "c"}
    assert events.from_core(core) == item
