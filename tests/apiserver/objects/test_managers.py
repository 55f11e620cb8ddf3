"""Managed fields: encoding, malformed entries, who owns what after an update."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver.objects import fieldsets, managers
from controller.apiserver.objects.managers import Entry, Manager
from tests.apiserver.bodies import VALUES

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"a"}', 'v:"a"', "i:0"])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)
ENTRIES = st.dictionaries(
    st.sampled_from(["manager", "operation", "apiVersion", "time", "subresource", "fieldsV1"]), VALUES, max_size=6
)
ALICE, BOB = Manager("alice", managers.UPDATE, "v1"), Manager("bob", managers.UPDATE, "v1")
NAME, SIZE, SPEC = ("f:spec", "f:name"), ("f:spec", "f:size"), ("f:spec",)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                      "items": {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}}},
            "names": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
        }},
    },
}  # fmt: skip


@given(fields=st.frozensets(PATHS, min_size=1, max_size=8))
def test_encoded_fields_are_decoded_again(fields: frozenset[fieldsets.Path]) -> None:
    assert fieldsets.decode(fieldsets.encode(fields)) == fields


@given(entries=st.lists(ENTRIES | VALUES, max_size=3))
def test_any_managed_fields_are_read_and_can_be_written(entries: Any) -> None:
    managers.write(managers.read({"managedFields": entries}))


@pytest.mark.parametrize(
    "fields",
    [
        None, [], {}, {".": {}}, {"x": {}}, {"f:a": 1}, {"f:a": {"x": {}}}, {"k:": {}}, {"k:1": {}}, {"k:{": {}},
        {"k:" + "[" * 100_000: {}}, {"k:" + "9" * 5000: {}},
    ],
)  # fmt: skip
def test_malformed_entries_are_ignored(fields: Any) -> None:
    entries = [{"manager": "odd", "fieldsV1": fields}, {"manager": "good", "fieldsV1": {"f:a": {}}}]
    assert [manager.name for manager in managers.read({"managedFields": entries})] == ["good"]


def test_an_entry_without_a_time_is_not_dated_none() -> None:
    entries: list[Any] = [{"manager": "old", "time": None, "fieldsV1": {"f:a": {}}}]
    (written,) = managers.write(managers.read({"managedFields": entries}))
    assert "time" not in written


def test_the_fields_of_an_object() -> None:
    spec = {"parts": [{"name": "a", "size": 1}, {}], "names": ["b"], "list": ["c"], "whole": {"d": 1}}
    found = fieldsets.of_applied({"kind": "X", "metadata": {"name": "one", "labels": {"l": ""}}, "spec": spec}, SCHEMA)
    part = ("f:spec", "f:parts", 'k:{"name":"a"}')
    assert found == {
        part, (*part, "f:name"), (*part, "f:size"), ("f:spec", "f:parts", 'k:{"name":"x"}'),
        ("f:spec", "f:names", 'v:"b"'), ("f:spec", "f:list"), ("f:spec", "f:whole"), ("f:metadata", "f:labels", "f:l"),
    }  # fmt: skip
    assert fieldsets.shown((*part, "f:size")) == '.spec.parts[name="a"].size'


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ([1], [True]), ("a", "b"), ([{"a": 0}], [{"a": False}])])
def test_a_change_of_the_type_is_a_change(old: Any, new: Any) -> None:
    before, after = (fieldsets.of_object({"spec": {"list": value}}, SCHEMA) for value in (old, new))
    assert fieldsets.compare(before, after) == ({("f:spec", "f:list")}, set())


def test_a_writer_owns_what_it_changed_and_nobody_what_is_gone() -> None:
    old, new = {"spec": {"name": "a", "size": 1}}, {"spec": {"name": "b"}}
    owned = {ALICE: Entry(frozenset({NAME, SIZE}), "then")}
    found = managers.after_update(owned, BOB, old, new, None, "now")
    assert found == {ALICE: Entry(frozenset(), "then"), BOB: Entry(frozenset({NAME}), "now")}
    assert [entry["manager"] for entry in managers.write(found)] == ["bob"]


def test_a_write_that_changes_no_ownership_keeps_its_time() -> None:
    owned = {ALICE: Entry(frozenset({NAME}), "then")}
    found = managers.after_update(owned, ALICE, {"spec": {"name": "a"}}, {"spec": {"name": "b"}}, None, "now")
    assert found == owned


def test_the_oldest_of_many_writers_become_one_entry() -> None:
    owned: managers.Managers = {}
    for number in range(managers.UPDATERS + 3):
        old, new = {"spec": {str(n): n for n in range(number)}}, {"spec": {str(n): n for n in range(number + 1)}}
        owned = managers.after_update(
            owned, Manager(f"m{number}", managers.UPDATE, "v1"), old, new, None, f"{number:02}"
        )
    assert len(owned) <= managers.UPDATERS + 1
    ancient = owned[Manager(managers.ANCIENT, managers.UPDATE, "v1")]
    assert {("f:spec", "f:0"), ("f:spec", "f:1")} <= ancient.fields


def test_objects_with_the_same_fields_share_their_encoding() -> None:
    first, second = frozenset({SPEC, NAME}), frozenset({NAME, SPEC})
    assert fieldsets.encode(first) is fieldsets.encode(second)
