"""What the server itself sets, keeps and refuses in created and updated objects."""

from __future__ import annotations

from typing import Any

import pytest

from controller.apiserver import failures
from controller.apiserver.kinds.core import CONFIG_MAPS, NAMESPACES
from controller.apiserver.kinds.resources import of_definition
from controller.apiserver.objects import admission, strategy
from controller.apiserver.objects.request_options import WriteOptions
from tests.conformance.conftest import DEFINITION, widget

WIDGETS = of_definition(DEFINITION)[0]
STATUS = WriteOptions(subresource="status")


def stored(**fields: Any) -> dict[str, Any]:
    """A stored widget."""
    typed, _ = admission.decode(WIDGETS, widget("one", **fields), WriteOptions())
    item = strategy.prepare_create(WIDGETS, typed, "edge", WriteOptions())
    return {**item, "metadata": {**item["metadata"], "resourceVersion": "7"}, "status": {"phase": "old"}}


def test_a_new_object_gets_its_identity_from_the_server() -> None:
    owned = {"uid": "mine", "resourceVersion": "x", "generation": 9, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    body = widget("one")
    typed, _ = admission.decode(WIDGETS, {**body, "metadata": {**body["metadata"], **owned}, "status": {}}, STATUS)
    item = strategy.prepare_create(WIDGETS, typed, "edge", WriteOptions(manager="me"))
    metadata = item["metadata"]
    assert metadata["uid"] != "mine"
    assert (metadata["namespace"], metadata["generation"]) == ("edge", 1)
    assert not {"resourceVersion", "deletionTimestamp"} & metadata.keys()
    assert "status" not in item
    assert [entry["manager"] for entry in metadata["managedFields"]] == ["me"]


@pytest.mark.parametrize(
    ("body", "name"),
    [({}, ""), (None, ""), ({"metadata": []}, ""), ({"metadata": {"name": 1}}, ""), ({"metadata": {"name": "a"}}, "a")],
)  # fmt: skip
def test_the_name_of_a_body(body: Any, name: str) -> None:
    assert strategy.name_of(body) == name


def test_a_generated_name_is_a_valid_label_value() -> None:
    name = strategy.name_of({"metadata": {"generateName": "x" * 300}})
    assert len(name) == 63
    assert name.startswith("x" * 58)


def test_only_a_change_of_the_desired_state_counts_a_generation() -> None:
    old = stored(size=1)
    for change, generation in (({"size": 2}, 2), ({"size": 1}, 1)):
        new = strategy.prepare_update(WIDGETS, old, {**old, "spec": {**old["spec"], **change}}, WriteOptions())
        assert new["metadata"]["generation"] == generation
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert strategy.prepare_update(WIDGETS, old, labelled, WriteOptions())["metadata"]["generation"] == 1


def test_object_and_status_are_written_apart() -> None:
    old = stored(size=1)
    body = {**old, "spec": {**old["spec"], "size": 2}, "status": {"phase": "new"}}
    body["metadata"] = {**old["metadata"], "labels": {"a": "b"}}
    of_object = strategy.prepare_update(WIDGETS, old, body, WriteOptions())
    of_status = strategy.prepare_update(WIDGETS, old, body, STATUS)
    assert (of_object["spec"]["size"], of_object["status"]) == (2, {"phase": "old"})
    assert (of_status["spec"]["size"], of_status["status"]) == (1, {"phase": "new"})
    assert "labels" not in of_status["metadata"]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"name": "two"}, 400), ({"namespace": "other"}, 400), ({"uid": "other"}, 409), ({"resourceVersion": "6"}, 409),
        ({"resourceVersion": ""}, 422), ({"resourceVersion": None}, 422),
    ],
)  # fmt: skip
def test_another_identity_is_refused(metadata: dict[str, Any], code: int) -> None:
    old = stored()
    with pytest.raises(failures.Failure) as refused:
        strategy.prepare_update(WIDGETS, old, {**old, "metadata": {**old["metadata"], **metadata}}, WriteOptions())
    assert refused.value.code == code


def test_an_object_that_is_being_deleted_gets_no_new_finalizers() -> None:
    old = stored()
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b", "a/c"]}
    fewer = {**old, "metadata": {**old["metadata"], "finalizers": ["a/c"]}}
    assert strategy.prepare_update(WIDGETS, old, fewer, WriteOptions())["metadata"]["finalizers"] == ["a/c"]
    more = {**old, "metadata": {**old["metadata"], "finalizers": ["a/b", "a/d"]}}
    with pytest.raises(failures.Failure, match="no new finalizers"):
        strategy.prepare_update(WIDGETS, old, more, WriteOptions())


def test_an_empty_list_clears_the_managers_and_a_missing_one_keeps_them() -> None:
    old = strategy.prepare_create(
        CONFIG_MAPS, {"metadata": {"name": "one"}, "data": {"a": "b"}}, "edge", WriteOptions(manager="me")
    )
    old["metadata"]["resourceVersion"] = "1"
    for given, kept in ((None, True), ([], False)):
        body = {**old, "metadata": {**old["metadata"], "managedFields": given}}
        new = strategy.prepare_update(CONFIG_MAPS, old, body, WriteOptions())
        assert ("managedFields" in new["metadata"]) == kept


@pytest.mark.parametrize(
    ("spec", "finalizers", "removable"),
    [({}, [], True), ({"finalizers": []}, [], True), ({"finalizers": ["kubernetes"]}, [], False), ({}, ["a/b"], False)],
)  # fmt: skip
def test_finalizers_of_a_namespace_are_in_two_places(spec: Any, finalizers: list[str], removable: bool) -> None:
    item = {"kind": NAMESPACES.kind, "apiVersion": "v1", "spec": spec, "metadata": {"finalizers": finalizers}}
    assert not strategy.is_removable(item)
    item["metadata"] = {"finalizers": finalizers, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert strategy.is_removable(item) == removable
