"""Faults of metadata, of which an update reports only new ones, and warnings about finalizers."""

from __future__ import annotations

from typing import Any

import pytest

from controller.apiserver.kinds.core import CONFIG_MAPS, NAMESPACES
from controller.apiserver.kinds.resources import of_definition
from controller.apiserver.objects import metadata
from tests.conformance.conftest import DEFINITION

WIDGETS = of_definition(DEFINITION)[0]
OWNER = {"apiVersion": "v1", "kind": "Secret", "name": "a", "uid": "1"}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []), ({"name": ""}, ["metadata.name"]), ({"name": "A"}, ["metadata.name"]),
        ({"generateName": "a-"}, []), ({"generateName": "A"}, ["metadata.generateName"]), ({"labels": None}, []),
        ({"labels": {"a/b": "c"}}, []), ({"labels": {"/": "c"}}, ["metadata.labels"] * 3),
        ({"labels": {"a": "-"}}, ["metadata.labels"]), ({"annotations": {"a": "any\ntext"}}, []),
        ({"annotations": {"a b": ""}}, ["metadata.annotations"]),
        ({"annotations": {"a": "x" * metadata.ANNOTATIONS_BYTES}}, ["metadata.annotations"]),
        ({"finalizers": ["a/b"]}, []), ({"finalizers": ["unqualified"]}, ["metadata.finalizers[0]"]),
        ({"finalizers": ["orphan", "foregroundDeletion"]}, ["metadata.finalizers"]),
        ({"ownerReferences": [OWNER]}, []),
        ({"ownerReferences": [{**OWNER, "uid": ""}]}, ["metadata.ownerReferences.uid"]),
        ({"ownerReferences": [{**OWNER, "apiVersion": "a/b/c"}]}, ["metadata.ownerReferences.apiVersion"]),
        ({"ownerReferences": [{**OWNER, "kind": "Event"}]}, ["metadata.ownerReferences"]),
        ({"ownerReferences": [{**OWNER, "controller": True}] * 2}, ["metadata.ownerReferences"]),
    ],
)  # fmt: skip
def test_faults_of_a_new_object(change: dict[str, Any], fields: list[str]) -> None:
    assert [cause.field for cause in metadata.faults(CONFIG_MAPS, {"name": "one", **change}, None)] == fields


def test_the_name_of_a_namespace_is_a_label() -> None:
    assert metadata.faults(CONFIG_MAPS, {"name": "a.b"}, None) == []
    assert len(metadata.faults(NAMESPACES, {"name": "a.b"}, None)) == 1


def test_an_update_is_refused_only_for_what_it_changes() -> None:
    old = {"name": "one", "labels": {"a": "-"}, "annotations": {"a b": ""}}
    assert metadata.faults(CONFIG_MAPS, {**old, "labels": {"a": "-", "b": "c"}}, old) == []
    new = {**old, "labels": {"a": "-", "b": "!"}}
    assert [cause.field for cause in metadata.faults(CONFIG_MAPS, new, old)] == ["metadata.labels"]


def test_finalizers_of_a_custom_resource_are_checked_once_and_then_only_warned_about() -> None:
    assert len(metadata.faults(WIDGETS, {"name": "one", "finalizers": ["/"]}, None)) > 0
    old = {"name": "one", "finalizers": ["a/b"]}
    new = {"name": "one", "finalizers": ["a/b", "plain", "with.dot", "orphan"]}
    assert metadata.faults(WIDGETS, new, old) == []
    assert [warning.split(":")[1].strip() for warning in metadata.warnings(WIDGETS, new, old)] == [
        '"plain"',
        '"with.dot"',
    ]
    assert metadata.warnings(CONFIG_MAPS, new, old) == []
