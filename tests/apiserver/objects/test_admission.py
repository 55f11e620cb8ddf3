"""Admission: what a body must be, and what is stored of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import failures
from controller.apiserver.compat import registration
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Registry, Resource, of_definition
from controller.apiserver.objects import admission, strategy
from controller.apiserver.objects.request_options import WriteOptions
from tests.apiserver.bodies import mutated, unless_refused
from tests.conformance.conftest import DEFINITION, widget

REGISTRY = Registry((*CORE, *registration.RESOURCES))
WIDGETS = of_definition(DEFINITION)[0]
FULL: dict[tuple[str, str, str], dict[str, Any]] = {
    ("", "v1", "configmaps"): {
        "metadata": {
            "name": "one", "labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["a/b"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "one", "uid": "1", "controller": True}],
            "managedFields": [{"manager": "a", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:data": {}}}],
        },
        "data": {"a": "b"}, "binaryData": {"c": "Yg=="}, "immutable": False,
    },
    ("", "v1", "secrets"): {"metadata": {"name": "one"}, "type": "a", "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
    ("coordination.k8s.io", "v1", "leases"): {
        "metadata": {"name": "one"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 5, "renewTime": "2026-01-01T00:00:00.000000Z"},
    },
    ("", "v1", "events"): {
        "metadata": {"name": "one"}, "reason": "A", "message": "b", "count": 1, "series": {"count": 2},
        "type": "Normal", "involvedObject": {"kind": "Secret", "namespace": "edge", "name": "one"},
        "source": {"component": "a"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reportingComponent": "a", "reportingInstance": "a",
    },
    ("events.k8s.io", "v1", "events"): {
        "metadata": {"name": "one"}, "reason": "A", "note": "b", "series": {"count": 2}, "type": "Normal",
        "regarding": {"kind": "Secret", "namespace": "edge", "name": "one"}, "reportingController": "a",
        "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reportingInstance": "a",
    },
    ("", "v1", "namespaces"): {"metadata": {"name": "one"}, "spec": {"finalizers": ["kubernetes"]}, "status": {}},
    ("", "v1", "nodes"): {
        "metadata": {"name": "one"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "1"}, "conditions": [{"type": "Ready", "status": "True"}]},
    },
    ("", "v1", "serviceaccounts"): {"metadata": {"name": "one"}, "secrets": [{"name": "a"}]},
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"): DEFINITION,
}  # fmt: skip
CONFIG_MAP = FULL["", "v1", "configmaps"]


def resource(key: tuple[str, str, str]) -> Resource:
    """A built-in resource."""
    found = REGISTRY.find(*key)
    assert found is not None
    return found


def decoded(kind: Resource, body: Any, validation: str = "Warn") -> tuple[dict[str, Any], list[str]]:
    """Decode a body."""
    return admission.decode(kind, body, WriteOptions(validation=validation))


def created(kind: Resource, body: Any) -> dict[str, Any]:
    """The object that is stored for a new body."""
    typed, _ = decoded(kind, body)
    typed["metadata"]["name"] = strategy.name_of(body)
    return strategy.prepare_create(kind, typed, "edge" if kind.namespaced else "", WriteOptions())


CONFIG_MAPS, SECRETS = resource(("", "v1", "configmaps")), resource(("", "v1", "secrets"))


@given(data=st.data(), key=st.sampled_from(sorted(FULL)))
def test_any_body_of_a_built_in_kind_is_stored_or_refused(data: st.DataObject, key: tuple[str, str, str]) -> None:
    kind, body = resource(key), data.draw(mutated(FULL[key]))
    item = unless_refused(lambda: created(kind, body)) or created(kind, FULL[key])
    stored = {**item, "metadata": {**item["metadata"], "resourceVersion": "1"}}
    changed = data.draw(mutated(stored))
    unless_refused(lambda: strategy.prepare_update(kind, stored, decoded(kind, changed)[0], WriteOptions()))


@given(body=mutated({**widget("one", color="Red", parts=[{"name": "a", "weight": 1}]), "status": {"phase": "a"}}))
def test_any_body_of_a_custom_kind_is_stored_or_refused(body: Any) -> None:
    item = unless_refused(lambda: created(WIDGETS, body))
    assert item is None or admission.adapted_to_schema(WIDGETS, item) == item


@pytest.mark.parametrize("body", [None, [], 1, "text", {"kind": "Secret"}, {"apiVersion": "v2"}, {"metadata": 1}])
def test_a_body_that_is_no_object_of_the_kind_is_refused(body: Any) -> None:
    with pytest.raises(failures.Failure) as refused:
        decoded(CONFIG_MAPS, body)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"a": 1}}, {"labels": []}, {"finalizers": "a"}, {"ownerReferences": [1]}, {"generation": 1.5},
        {"creationTimestamp": "yesterday"}, {"managedFields": [1]}, {"name": 1}, {"annotations": {"a": {}}},
    ],
)  # fmt: skip
def test_metadata_of_a_wrong_type_is_refused(metadata: Any) -> None:
    for kind in (CONFIG_MAPS, WIDGETS):
        with pytest.raises(failures.Failure) as refused:
            decoded(kind, {"metadata": {"name": "one", **metadata}})
        assert refused.value.code == 400


def test_nulls_are_absent_fields_and_empty_entries_as_in_go() -> None:
    item, _ = decoded(CONFIG_MAPS, {"metadata": {"labels": {"a": None}, "annotations": None}, "data": {"a": None}})
    assert (item["metadata"], item["data"]) == ({"labels": {"a": ""}}, {"a": ""})
    assert created(SECRETS, {"metadata": {"name": "one"}, "stringData": {"a": None}})["data"] == {"a": ""}


@pytest.mark.parametrize("number", [1 << 31, -(1 << 31) - 1, 1e300])
def test_a_number_that_clients_cannot_decode_is_refused(number: float) -> None:
    with pytest.raises(failures.Failure, match="leaseDurationSeconds"):
        decoded(resource(("coordination.k8s.io", "v1", "leases")), {"spec": {"leaseDurationSeconds": number}})


@pytest.mark.parametrize(("validation", "warnings"), [("Ignore", []), ("Warn", ['unknown field "odd"'])])
def test_unknown_fields_are_dropped(validation: str, warnings: list[str]) -> None:
    item, found = decoded(CONFIG_MAPS, {"metadata": {"name": "one"}, "odd": 1}, validation)
    assert "odd" not in item
    assert found == warnings


def test_unknown_fields_are_refused_when_asked_to() -> None:
    for body in ({"metadata": {"name": "one"}, "odd": 1}, {"metadata": {"name": "one", "odd": 1}}):
        with pytest.raises(failures.Failure, match=r'strict decoding error: unknown field "\S*odd"'):
            decoded(CONFIG_MAPS, body, "Strict")
        with pytest.raises(failures.Failure, match="field not declared in schema"):
            admission.decode_applied(CONFIG_MAPS, body, WriteOptions())


def test_duplicate_fields_are_reported_or_refused() -> None:
    body, duplicates = {"metadata": {"name": "one"}}, ('duplicate field "data"',)
    _, warnings = admission.decode(CONFIG_MAPS, body, WriteOptions(duplicates=duplicates))
    assert warnings == list(duplicates)
    for decode in (admission.decode, admission.decode_applied):
        with pytest.raises(failures.Failure, match="duplicate"):
            decode(CONFIG_MAPS, body, WriteOptions(duplicates=duplicates, validation="Strict"))


def test_the_body_is_not_changed() -> None:
    body = {"metadata": {"name": "one", "labels": {"a": None}}, "odd": 1, "data": None}
    decoded(CONFIG_MAPS, body)
    assert body == {"metadata": {"name": "one", "labels": {"a": None}}, "odd": 1, "data": None}


def test_defaults_that_exceed_the_size_limit_are_left_out_of_stored_objects_and_refused_in_new_ones() -> None:
    many = {"type": "array", "items": {"type": "string"}, "default": ["a"] * 40_000}
    parts = {"type": "object", "properties": {"one": many, "two": many}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": parts}}
    spec = {"group": "a.b", "scope": "Namespaced", "names": {"plural": "bigs", "kind": "Big"}, "versions": [version]}
    kind = of_definition({"metadata": {}, "spec": spec})[0]
    with pytest.raises(failures.Failure, match="with its defaults"):
        created(kind, {"metadata": {"name": "one"}})
    adapted = admission.adapted_to_schema(kind, {"apiVersion": "a.b/v1", "kind": "Big", "metadata": {"name": "one"}})
    assert "one" in adapted
    assert "two" not in adapted
