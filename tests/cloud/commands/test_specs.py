"""A Runtime from a message of the cloud, and which field of an existing one differs from it."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.cloud.commands import specs
from controller.cloud.commands.specs import Blueprint
from controller.cloud.contracts.runtimes import CreateNewRuntime
from controller.node_api.node import Placement
from tests.support.command_harness import vnic

BLUEPRINT = Blueprint("edge", "registry.test/runtime", "latest", {"backend": "Docker", "cpu": 1, "version": "old"})


def requested(**fields: Any) -> dict[str, Any]:
    """The spec that a message requests."""
    message = {"correlation_id": 1, "container_name": "plc-1", "vnic_configs": [vnic()], **fields}
    return specs.requested_spec(CreateNewRuntime.model_validate(message, context={"mode": "lenient"}))


def test_a_message_overrides_the_defaults_which_override_the_template() -> None:
    manifest = BLUEPRINT.manifest(requested(runtime_version="v2"), Placement("node-1", "Pod"), {"a": "b"})
    assert manifest["spec"]["version"] == "v2"
    assert BLUEPRINT.manifest(requested(), Placement("node-1", "Pod"), {})["spec"]["version"] == "latest"
    assert (manifest["spec"]["backend"], manifest["spec"]["nodeName"], manifest["spec"]["cpu"]) == ("Pod", "node-1", 1)
    assert manifest["metadata"] == {
        "name": "plc-1",
        "namespace": "edge",
        "labels": {names.ORIGIN_LABEL: names.ORIGIN_CLOUD},
        "annotations": {"a": "b"},
        "finalizers": [names.FINALIZER],
    }


def test_a_message_specifies_only_the_fields_that_it_has() -> None:
    assert requested() == {
        "deviceId": "plc-1",
        "interfaces": [
            {
                "name": "lan0",
                "parentInterface": "eth0",
                "mode": "Static",
                "address": "192.168.1.50",
                "subnet": "192.168.1.0/24",
            }
        ],
    }
    assert requested(serial_configs=[])["serialPorts"] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("plc-1", "plc-1"), ("1plc", "1plc"), ("a" * 63, "a" * 63), ("PLC_1", "plc-1-11bfa834")],
)
def test_the_object_has_the_name_of_the_device_if_kubernetes_accepts_it(name: str, expected: str) -> None:
    assert specs.object_name(name) == expected


def test_a_name_that_kubernetes_does_not_accept_becomes_a_similar_one_of_its_own() -> None:
    found = [specs.object_name(name) for name in ("plc.1", "plc_1", "PLC-1", "a" * 64, "a" * 65)]
    assert len(set(found)) == len(found)
    assert max(map(len, found)) == 63


@pytest.mark.parametrize(
    ("desired", "current", "path"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1}, {"a": 2}, "a"),
        ({"a": 1}, {}, "a"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b"),
        ({"a": {"b": 1}}, {"a": None}, "a"),
        ({"a": [1, 2]}, {"a": [2, 1]}, "a"),
        ({"a": []}, {}, ""),
        ({"a": []}, {"a": [1]}, "a"),
        ({"macAddress": "02:AA:00:00:00:01"}, {"macAddress": "02:aa:00:00:00:01"}, ""),
        ({"i": [{"name": "x", "v": 1}, {"name": "y"}]}, {"i": [{"name": "y"}, {"name": "x", "v": 1}]}, ""),
        ({"i": [{"name": "x", "v": 1}]}, {"i": [{"name": "x", "v": 2}]}, "i[x].v"),
        ({"i": [{"name": "x"}]}, {"i": [{"name": "x"}, {"name": "y"}]}, "i"),
        ({"i": [{"name": "x"}]}, {}, "i"),
    ],
)
def test_the_first_field_that_differs_is_named(desired: dict[str, Any], current: dict[str, Any], path: str) -> None:
    assert specs.difference(desired, current) == path
