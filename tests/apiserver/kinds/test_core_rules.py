"""Rules of the built-in kinds beyond their schemas, and events of two API groups."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controller.apiserver.kinds import core_rules, event_versions

ABOUT = {"metadata": {"name": "one", "namespace": "edge"}, "involvedObject": {"namespace": "edge"}}
NEW_EVENT: dict[str, Any] = {
    **ABOUT, "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "a", "action": "b",
    "reportingComponent": "c", "reportingInstance": "d",
}  # fmt: skip
BIG = "x" * (core_rules.DATA_BYTES + 1)


def fields(causes: list[Any]) -> list[str]:
    """The fields of causes."""
    return [cause.field for cause in causes]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, []), ({"data": None, "binaryData": None}, []), ({"data": {"a.b_c-D": ""}}, []),
        ({"data": {"a/b": ""}}, ["data[a/b]"]), ({"data": {"..": ""}}, ["data[..]"]),
        ({"data": {"..a": ""}}, ["data[..a]"]),
        ({"data": {"a": ""}, "binaryData": {"a": ""}}, ["data[a]"]), ({"data": {"a": BIG}}, ["[]"]),
        ({"data": {"a" * 254: ""}}, [f"data[{'a' * 254}]"]),
    ],
)  # fmt: skip
def test_config_maps(item: dict[str, Any], expected: list[str]) -> None:
    assert fields(core_rules.config_map(item)) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "Opaque"}, []), ({"type": "kubernetes.io/tls"}, ["data[tls.crt]", "data[tls.key]"]),
        ({"type": "kubernetes.io/basic-auth", "data": {"password": ""}}, []),
        ({"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}}, ["data[ssh-privatekey]"]),
        ({"type": core_rules.ACCOUNT_TYPE}, [f"metadata.annotations[{core_rules.ACCOUNT}]"]),
        ({"type": "Opaque", "data": {"a": base64.b64encode(BIG.encode()).decode()}}, ["data"]),
    ],
)  # fmt: skip
def test_secrets(item: dict[str, Any], expected: list[str]) -> None:
    assert fields(core_rules.secret({"metadata": {}, **item})) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"data": {"a": "b"}}, []), ({"type": "a"}, {"type": "b"}, ["type"]),
        ({"immutable": True}, {"immutable": True, "data": {}}, []), ({"immutable": True}, {}, ["immutable"]),
        ({"immutable": True, "data": {"a": ""}}, {"immutable": True}, ["data"]),
    ],
)  # fmt: skip
def test_what_is_immutable(old: dict[str, Any], new: dict[str, Any], expected: list[str]) -> None:
    assert fields(core_rules.immutability_faults(new, old)) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, []), ({}, []), ({"leaseDurationSeconds": 0}, ["spec.leaseDurationSeconds"]),
        ({"leaseDurationSeconds": 1, "leaseTransitions": -1}, ["spec.leaseTransitions"]),
    ],
)  # fmt: skip
def test_leases(spec: Any, expected: list[str]) -> None:
    assert fields(core_rules.lease({"spec": spec})) == expected


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
    assert fields(core_rules.new_event({**NEW_EVENT, **change})) == expected


def test_an_old_event_may_lack_nearly_everything() -> None:
    assert core_rules.event(ABOUT) == []
    assert core_rules.event({"metadata": {"namespace": "default"}}) == []


def test_what_an_event_is_about_is_fixed() -> None:
    assert fields(core_rules.event_changed({**NEW_EVENT, "reason": "b", "message": ""}, NEW_EVENT)) == ["reason"]


def test_an_event_survives_the_conversion_between_its_groups() -> None:
    item = {
        "apiVersion": "events.k8s.io/v1",
        "regarding": {"name": "a"},
        "note": "b",
        "deprecatedCount": 1,
        "type": "c",
    }
    core = event_versions.to_core(item, None)
    assert core == {"apiVersion": "v1", "involvedObject": {"name": "a"}, "message": "b", "count": 1, "type": "c"}
    assert event_versions.from_core(core) == item
