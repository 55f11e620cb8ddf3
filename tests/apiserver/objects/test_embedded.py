"""Embedded resources of custom resources; the messages are compared with Kubernetes in tests/conformance."""

from __future__ import annotations

from typing import Any

import pytest

from controller.apiserver.objects import embedded

DECLARED = {"type": "object", "properties": {"name": {"type": "string"}}}
TEMPLATE = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"metadata": DECLARED}}
SCHEMA = {
    "type": "object",
    "properties": {
        "template": TEMPLATE,
        "list": {"type": "array", "items": TEMPLATE},
        "map": {"type": "object", "additionalProperties": TEMPLATE},
    },
}
POD = {"apiVersion": "v1", "kind": "Pod"}
INVALID: dict[str, Any] = {**POD, "metadata": {"labels": {"a": "-"}}}


def fields(value: object, old: object) -> list[str]:
    """The fields of the new faults."""
    return [cause.field for cause in embedded.faults(value, SCHEMA, old)]


def test_metadata_is_decoded_whatever_the_schema_declares_of_it() -> None:
    value = {"template": {**POD, "metadata": {"labels": {"a": "b"}, "annotations": None, "unknown": 1}}}
    assert embedded.decode(value, SCHEMA) == ["template.metadata.unknown"]
    assert value == {"template": {**POD, "metadata": {"labels": {"a": "b"}}}}


@pytest.mark.parametrize("change", [{"kind": 1}, {"apiVersion": None}, {"metadata": "x"}, {"metadata": {"labels": []}}])
def test_a_field_of_the_wrong_type_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(embedded.MalformedError, match=f"template.{next(iter(change))}"):
        embedded.decode({"template": {**POD, **change}}, SCHEMA)


def test_embedded_resources_are_found_in_lists_and_maps() -> None:
    value = {"list": [POD, INVALID], "map": {"a b": INVALID}}
    assert fields(value, None) == ["list[1].metadata.labels", "map[a b].metadata.labels"]


def test_only_new_faults_count() -> None:
    old = {"template": INVALID, "list": [INVALID]}
    new = {**old, "list": [{**POD, "metadata": {"labels": {"a": "!"}}}]}
    assert fields(new, old) == ["list[0].metadata.labels"]
    assert fields(old, old) == []


@pytest.mark.parametrize("unchecked", [{"metadata": "x"}, {"kind": 1}, {"apiVersion": []}])
def test_an_object_that_was_stored_unchecked_can_be_corrected(unchecked: dict[str, Any]) -> None:
    assert fields({"template": POD}, {"template": {**POD, **unchecked}}) == []
