"""Structural schemas: nulls, defaults, pruning and validation, each of any value."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import bounds
from controller.apiserver.schemas import correlation, structural
from controller.apiserver.schemas.correlation import ABSENT
from tests.apiserver.bodies import NAMES, VALUES

TEXT = {"type": "string"}
PART = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": TEXT, "count": {"type": "integer", "default": 1}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "x", "maxLength": 5},
        "metadata": {"type": "object", "nullable": True, "properties": {"a": {"type": "string", "default": "y"}}},
        "spec": {"type": "object", "additionalProperties": PART},
        "data": {"type": "array", "items": PART, "x-kubernetes-list-type": "map",
                 "x-kubernetes-list-map-keys": ["name"]},
        "count": {"type": "number", "minimum": 0, "multipleOf": 0.5},
        "type": {"x-kubernetes-int-or-string": True},
        "uid": {"x-kubernetes-preserve-unknown-fields": True},
        "a": {"anyOf": [{"type": "string"}, {"type": "integer"}], "not": {"enum": ["0"]}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "nullable": True}},
    },
}  # fmt: skip
OBJECTS = st.dictionaries(NAMES | st.sampled_from(sorted(SCHEMA["properties"])), VALUES, max_size=4)


@given(value=OBJECTS | VALUES)
def test_any_value_is_pruned_defaulted_and_validated(value: Any) -> None:
    structural.prune(value, SCHEMA)
    assert structural.prune(value, SCHEMA) == []
    structural.apply_defaults(value, SCHEMA, bounds.Budget(value))
    again = copy.deepcopy(value)
    structural.apply_defaults(again, SCHEMA, bounds.Budget(again))
    assert again == value
    for cause in structural.validate(value, SCHEMA):
        assert cause.reason.startswith("FieldValue")
    assert structural.validate(value, SCHEMA, old=copy.deepcopy(value)) == []


@given(value=OBJECTS)
def test_no_null_is_left_where_go_has_none(value: Any) -> None:
    structural.replace_nulls(value, SCHEMA)
    assert all(value[name] is not None for name in SCHEMA["properties"].keys() & value.keys() if name != "uid")


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ({"name": None, "uid": None}, {"uid": None}), ({"spec": {"a": None}}, {"spec": {"a": {}}}),
        ({"data": [None, {"name": None}]}, {"data": [{}, {}]}), ({"set": ["a", None]}, {"set": ["a", ""]}),
    ],
)  # fmt: skip
def test_nulls_are_replaced(value: Any, replaced: Any) -> None:
    structural.replace_nulls(value, SCHEMA)
    assert value == replaced


@pytest.mark.parametrize(
    ("schema", "zero"),
    [
        ({"type": "string"}, ""), ({"type": "integer"}, 0), ({"type": "boolean"}, False), ({"type": "array"}, []),
        ({"type": "object"}, {}), ({"x-kubernetes-int-or-string": True}, "0"), ({}, None),
    ],
)  # fmt: skip
def test_an_entry_of_a_map_has_a_zero_value(schema: Any, zero: Any) -> None:
    value = {"a": None}
    structural.replace_nulls(value, {"type": "object", "additionalProperties": schema})
    assert value == {"a": zero}


@pytest.mark.parametrize(
    ("value", "pruned", "gone"),
    [
        ({"odd": 1}, {}, ["odd"]), ({"uid": {"odd": 1}}, {"uid": {"odd": 1}}, []),
        ({"spec": {"a": {"odd": 1}}}, {"spec": {"a": {}}}, ["spec.a.odd"]),
        ({"data": [{"odd": 1}, 2]}, {"data": [{}, 2]}, ["data[0].odd"]), ({"metadata": 1}, {"metadata": 1}, []),
    ],
)  # fmt: skip
def test_unknown_fields_are_pruned(value: Any, pruned: Any, gone: list[str]) -> None:
    assert structural.prune(value, SCHEMA) == gone
    assert value == pruned


@pytest.mark.parametrize(
    ("value", "defaulted"),
    [
        ({}, {"name": "x"}), ({"name": None}, {"name": "x"}), ({"metadata": None}, {"name": "x", "metadata": None}),
        ({"metadata": {}}, {"name": "x", "metadata": {"a": "y"}}), ({"spec": {"a": None}}, {"name": "x", "spec": {}}),
        ({"name": "z", "data": [{}, 1]}, {"name": "z", "data": [{"count": 1}, 1]}),
    ],
)  # fmt: skip
def test_defaults_fill_what_is_absent(value: Any, defaulted: Any) -> None:
    structural.apply_defaults(value, SCHEMA, bounds.Budget(value))
    assert value == defaulted


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"name": 1}, ["name"]), ({"name": "long text"}, ["name"]), ({"spec": {"a": {}}}, ["spec.a.name"]),
        ({"data": [{"name": "a"}, {"name": "a"}]}, ["data[1]"]), ({"set": ["a", "b", "a", "a"]}, ["set[2]"]),
        ({"count": -0.5}, ["count"]), ({"count": True}, ["count"]), ({"type": 1.5}, ["type"]), ({"type": "1"}, []),
        ({"a": []}, ["<nil>", "a"]), ({"a": "0"}, ["<nil>"]), ({"metadata": None}, []), ({"uid": [None]}, []),
    ],
)  # fmt: skip
def test_faults_name_their_fields(value: Any, fields: list[str]) -> None:
    assert [cause.field for cause in structural.validate(value, SCHEMA)] == fields


@pytest.mark.parametrize(
    ("value", "step", "valid"),
    [
        (0.3, 0.1, True), (0.35, 0.1, False), (7, 0.1, True), (9, 3, True), (10, 3, False), (1 << 62, 3, False),
        (4.0, 2, True), (5.0, 2.0, False), (1e308, 5e-324, False), (0, 0.1, True),
    ],
)  # fmt: skip
def test_multiples(value: float, step: float, valid: bool) -> None:
    assert (structural.validate(value, {"type": "number", "multipleOf": step}) == []) == valid


def test_only_what_changed_is_validated_in_an_update() -> None:
    old = {"name": "too long", "data": [{"name": "a", "count": "x"}, {"name": "b"}]}
    new = {"name": "too long", "data": [{"name": "b"}, {"name": "a", "count": "x"}], "count": -1}
    assert [cause.field for cause in structural.validate(new, SCHEMA, old=old)] == ["count"]


def test_old_items_are_found_by_their_keys() -> None:
    old = [{"name": "a", "n": 1}, 5, {"name": "a", "n": 2}, {"n": 3}]
    found = correlation.entries(old, SCHEMA["properties"]["data"])
    assert [found(item) for item in ({"name": "a"}, {}, {"name": "b"}, 5)] == [old[0], old[3], ABSENT, ABSENT]
    assert correlation.entries(old, {})({"name": "a"}) is ABSENT


@pytest.mark.parametrize(
    ("value", "old", "same"), [(1, 1, True), (1, True, False), (1, 1.0, False), ([0], [False], False)]
)
def test_a_value_of_another_type_is_a_change(value: Any, old: Any, same: bool) -> None:
    assert correlation.is_unchanged(value, old) == same


EMBEDDED = {
    "type": "object",
    "properties": {
        "template": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": PART}}
    },
}


def test_an_embedded_resource_keeps_its_type_and_metadata() -> None:
    template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"name": "b"}}
    value = {"template": {**template, "other": 1}}
    assert structural.prune(value, EMBEDDED) == ["template.other"]
    assert value == {"template": template}
    assert structural.validate(value, EMBEDDED) == []
    assert [cause.field for cause in structural.validate({"template": {}}, EMBEDDED)] == [
        "template.apiVersion",
        "template.kind",
    ]


@pytest.mark.parametrize(
    ("value", "allowed", "valid"),
    [(True, 1, False), (1, True, False), (1, 1.0, True), (True, True, True), ([1], [True], False), ([1], [1], True)],
)
def test_a_value_of_an_enumeration_has_its_type(value: Any, allowed: Any, valid: bool) -> None:
    assert (structural.validate(value, {"enum": [allowed]}) == []) == valid


@pytest.mark.parametrize("keyword", [{"enum": ["25%", 2]}, {"not": {"enum": ["50%", 3]}}])
@pytest.mark.parametrize(("value", "valid"), [("25%", True), (2, True), ("50%", False), (3, False)])
def test_an_integer_or_string_is_validated_by_every_keyword(keyword: dict[str, Any], value: Any, valid: bool) -> None:
    schema = {"x-kubernetes-int-or-string": True, **keyword}
    assert (structural.validate(value, schema) == []) == valid


@pytest.mark.parametrize(
    ("form", "value", "valid"),
    [
        ("date", "2026-01-31", True),
        ("date", "20260131", False),
        ("date", "2026-W05-6", False),
        ("date", "2026-02-30", False),
        ("date-time", "2026-01-31t12:00:00.5z", True),
        ("date-time", "2026-01-31T12:00:00+01:00", True),
        ("date-time", "20260131T120000Z", False),
        ("date-time", "2026-01-31T12:00Z", False),
        ("date-time", "2026-01-31T25:00:00Z", False),
        ("datetime", "yesterday", False),
        ("uuid", "0F0E0D0C-0b0a-1908-7706-050403020100", True),
        ("uuid", "0f0e0d0c0b0a19087706050403020100", True),
        ("uuid", "{0f0e0d0c-0b0a-1908-7706-050403020100}", False),
        ("uuid", "urn:uuid:0f0e0d0c-0b0a-1908-7706-050403020100", False),
        ("uuid3", "0f0e0d0c-0b0a-3908-7706-050403020100", True),
        ("uuid4", "0f0e0d0c-0b0a-3908-8706-050403020100", False),
        ("uuid4", "0f0e0d0c-0b0a-4908-8706-050403020100", True),
        ("uuid5", "0f0e0d0c-0b0a-5908-7706-050403020100", False),
        ("semver", "any text", True),
    ],
)
def test_a_format_is_that_of_kubernetes(form: str, value: str, valid: bool) -> None:
    assert (structural.validate(value, {"type": "string", "format": form}) == []) == valid
