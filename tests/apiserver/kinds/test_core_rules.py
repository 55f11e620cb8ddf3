"""Rules of the built-in kinds beyond their schemas."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controller.apiserver.kinds import core_rules

ABOUT = {"metadata": {"name": "one", "namespace": "edge"}, "involvedObject": {"namespace": "edge"}}
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


def test_an_old_event_may_lack_nearly_everything() -> None:
    assert core_rules.event(ABOUT) == []
    assert core_rules.event({"metadata": {"namespace": "default"}}) == []
