"""Validation ratcheting: updates of objects that violate newer rules are only refused where they change something."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller.api import crds
from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource, of_definition
from controller.apiserver.objects import strategy
from controller.apiserver.objects.request_options import WriteOptions

Object = dict[str, Any]
OLD_METADATA = {
    "name": "One_", "uid": "u", "resourceVersion": "1", "generation": 1,
    "labels": {"a/b/c": "x y"}, "annotations": {"a": "é" * (128 << 10)}, "finalizers": ["plain one"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": ""}],
}  # fmt: skip
STORED: Object = {
    "apiVersion": "example.com/v1",
    "kind": "Sample",
    "metadata": OLD_METADATA,
    "spec": {"name": "far too long", "ports": [{"id": 1, "to": "A"}, {"id": 2, "to": "B"}], "tags": ["LOUD"], "n": 1},
}
SPEC = {
    "type": "object",
    "required": ["owner"],
    "properties": {
        "owner": {"type": "string"},
        "n": {"type": "integer"},
        "name": {"type": "string", "maxLength": 3, "x-kubernetes-validations": [{"rule": "self != 'far too long'"}]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "properties": {"id": {"type": "integer"}, "to": {"type": "string", "pattern": "^[a-z]+$"}},
            },
        },
    },
}


@pytest.fixture
def samples() -> Resource:
    """The kind with its current definition."""
    schema = {"type": "object", "properties": {"spec": SPEC, "status": {"type": "object", "properties": {
        "phase": {"type": "string"}}}}}  # fmt: skip
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    names = {"kind": "Sample", "plural": "samples"}
    version["schema"] = {"openAPIV3Schema": schema}
    spec = {"group": "example.com", "names": names, "scope": "Cluster", "versions": [version]}
    return of_definition({"metadata": {}, "spec": spec})[0]


def _refused(samples: Resource, item: Object) -> set[str]:
    """The fields that an update is refused for."""
    with pytest.raises(failures.Failure) as raised:
        strategy.prepare_update(samples, STORED, item, WriteOptions())
    assert raised.value.details is not None
    return {cause["field"] for cause in raised.value.details["causes"]}


def test_the_status_of_an_invalid_object_can_be_written(samples: Resource) -> None:
    written = strategy.prepare_update(
        samples, STORED, {**copy.deepcopy(STORED), "status": {"phase": "Up"}}, WriteOptions(subresource="status")
    )
    assert written["status"] == {"phase": "Up"}


def test_invalid_metadata_can_be_corrected_step_by_step(samples: Resource) -> None:
    item = copy.deepcopy(STORED)
    item["metadata"]["labels"]["fine"] = "x"
    item["metadata"]["finalizers"] = []
    written = strategy.prepare_update(samples, STORED, item, WriteOptions())
    assert written["metadata"]["labels"] == {"a/b/c": "x y", "fine": "x"}
    assert "finalizers" not in written["metadata"] or not written["metadata"]["finalizers"]


def test_added_metadata_is_validated(samples: Resource) -> None:
    item = copy.deepcopy(STORED)
    item["metadata"]["labels"]["worse"] = "z z"
    assert _refused(samples, item) == {"metadata.labels"}


def test_an_unchanged_invalid_field_is_accepted(samples: Resource) -> None:
    item = copy.deepcopy(STORED)
    item["spec"]["owner"] = "me"
    item["spec"]["ports"][0]["to"] = "a"
    written = strategy.prepare_update(samples, STORED, item, WriteOptions())
    assert [port["to"] for port in written["spec"]["ports"]] == ["a", "B"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "also too long"}, "spec.name"),
        ({"tags": ["LOUD", "quiet"]}, "spec.tags[0]"),
        ({"ports": [{"id": 1, "to": "C"}, {"id": 2, "to": "B"}]}, "spec.ports[0].to"),
        ({"ports": [{"id": 3, "to": "A"}]}, "spec.ports[0].to"),
        ({"n": True}, "spec.n"),
    ],
    ids=repr,
)
def test_changed_fields_are_validated(samples: Resource, change: Object, field: str) -> None:
    item = copy.deepcopy(STORED)
    item["spec"] |= {"owner": "me", **change}
    assert field in _refused(samples, item)


def test_a_newly_required_field_is_demanded_by_the_next_change(samples: Resource) -> None:
    item = copy.deepcopy(STORED)
    item["spec"]["n"] = 2
    assert _refused(samples, item) == {"spec.owner"} | {"<nil>"}


def test_other_fields_of_a_runtime_with_invalid_paths_can_be_changed() -> None:
    (runtimes,) = of_definition(crds.manifest(crds.RUNTIME))
    paths = {"mountPath": "/data/../x"}, {"containerPath": "/dev//x", "deviceId": "usb"}
    volume, port = ({"name": "a", **path} for path in paths)
    spec = {"deviceId": "plc-1", "image": "plc", "volumes": [volume], "serialPorts": [port]}
    metadata = {"name": "plc-1", "namespace": "edge", "uid": "u", "resourceVersion": "1", "generation": 1}
    stored = {"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": metadata, "spec": spec}

    changed = {**stored, "spec": {**spec, "paused": True, "env": [{"name": "A", "value": "b"}]}}
    assert (
        strategy.prepare_update(runtimes, stored, changed, WriteOptions())["spec"]["volumes"][0]["mountPath"]
        == "/data/../x"
    )

    changed = {**stored, "spec": {**spec, "volumes": [{**volume, "mountPath": "/data/../y"}]}}
    with pytest.raises(failures.Failure, match="mountPath must not contain"):
        strategy.prepare_update(runtimes, stored, changed, WriteOptions())
