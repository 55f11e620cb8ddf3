"""JSON patches, strategic merge patches and apply: results, refusals, and running time."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import bounds
from controller.apiserver.objects import apply, managers, patches, strategic
from controller.apiserver.objects.managers import Manager

ODD: tuple[Any, ...] = (None, 1, "x", [], [1], {}, {"a": 1})
NAMES = st.sampled_from(["", "a", "l", "0", "1", "-", "-1", "01", "²", "~", "~0", "~1", "conditions", "type"])
PATHS = st.lists(NAMES, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts)) | NAMES
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, 0, 1.5, "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "append", "", None, 1])},
    optional={"path": PATHS | VALUES, "from": PATHS | VALUES, "value": VALUES},
)
MERGED: dict[str, Any] = {"type": "array", "x-kubernetes-patch-strategy": "merge"}
BY_TYPE = {**MERGED, "x-kubernetes-patch-merge-key": "type", "items": {"type": "object"}}
PRIMITIVE = {**MERGED, "x-kubernetes-patch-merge-key": "", "items": {"type": "string"}}
LISTS: dict[str, Any] = {"type": "object", "properties": {"conditions": BY_TYPE, "finalizers": PRIMITIVE}}
LISTS["additionalProperties"] = LISTS
DIRECTIVES = st.sampled_from(
    ["$patch", "$retainKeys", "$setElementOrder/l", "$deleteFromPrimitiveList/finalizers", "$odd", "conditions",
     "finalizers", "ownerReferences", "secrets", "a"]
)  # fmt: skip
STRATEGIC: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, 1, "replace", "delete", "merge", "a", ["a"], [{"type": "a"}], [{"type": {}}]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(DIRECTIVES, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "operation",
    [
        {}, {"op": "add"}, {"op": "remove", "path": ""}, {"op": "move", "path": "/a"}, {"op": "copy", "path": "/a"},
        {"op": "move", "path": "/a", "from": 1}, {"op": "copy", "path": "/a", "from": "/none"},
        {"op": "add", "path": 1, "value": 1}, {"op": "add", "path": ["a"], "value": 1}, {"op": "add", "path": "a"},
        {"op": "add", "path": "/l/²", "value": 1}, {"op": "add", "path": "/l/3", "value": 1},
        {"op": "replace", "path": "/l/2", "value": 1},
        {"op": "remove", "path": "/none"}, {"op": "add", "path": "/l/01"},
        {"op": "test", "path": "/a", "value": 2}, {"op": "test", "path": "/none/x", "value": 1},
        {"op": "move", "path": "/o/x", "from": "/o"}, {"op": "add", "path": "/a/x", "value": 1},
        {"op": "nonsense", "path": "/a"}, {"op": ["add"], "path": "/a", "value": 1}, {"op": "add", "path": "/~2"},
    ],
)  # fmt: skip
def test_an_invalid_operation_is_refused(operation: Any) -> None:
    target = {"a": 1, "l": [1, 2], "o": {}}
    with pytest.raises(patches.PatchError):
        patches.apply_json(target, [operation])
    assert target == {"a": 1, "l": [1, 2], "o": {}}


@pytest.mark.parametrize("patch", [odd for odd in ODD if odd != []])
def test_a_json_patch_must_be_a_list_of_operations(patch: Any) -> None:
    with pytest.raises(patches.MalformedPatchError):
        patches.apply_json({}, patch)


def test_the_number_of_operations_is_limited() -> None:
    with pytest.raises(patches.TooManyOperationsError):
        patches.apply_json({}, [{"op": "test", "path": "", "value": {}}] * (patches.OPERATIONS + 1))


def test_a_patch_that_doubles_the_document_is_refused() -> None:
    doubling = [{"op": "copy", "from": "/l", "path": "/l/-"}] * 40
    with pytest.raises(patches.PatchError, match="more than"):
        patches.apply_json({"l": [1]}, doubling)
    with pytest.raises(patches.PatchError, match="bytes"):
        patches.apply_json({"l": ["x" * 1000]}, doubling)


def test_moving_a_document_into_itself_cannot_exceed_the_depth_limit() -> None:
    burying = [
        {"op": "add", "path": "/t", "value": {}},
        {"op": "move", "from": "/a", "path": "/t/a"},
        {"op": "move", "from": "/t", "path": "/a"},
    ]
    deep = patches.apply_json({"a": {}}, burying * 3000)
    with pytest.raises(bounds.ExceededError):
        bounds.check(deep)
    with pytest.raises(patches.PatchError):
        patches.apply_json({"a": {}}, [*burying * 3000, {"op": "copy", "from": "/a", "path": "/b"}])


def test_a_missing_member_can_be_replaced_as_in_kubernetes() -> None:
    assert patches.apply_json({"l": []}, [{"op": "replace", "path": "/a", "value": 1}]) == {"l": [], "a": 1}


@given(operations=st.lists(OPERATIONS | VALUES, max_size=4), target=VALUES)
def test_any_json_patch_is_applied_or_refused(operations: Any, target: Any) -> None:
    before = json.dumps(target)
    with contextlib.suppress(patches.PatchError):
        json.dumps(patches.apply_json(target, operations), allow_nan=False)
    assert json.dumps(target) == before


@given(target=STRATEGIC, patch=STRATEGIC)
def test_any_strategic_patch_is_applied_or_refused(target: Any, patch: Any) -> None:
    before = json.dumps(target)
    with contextlib.suppress(patches.PatchError):
        json.dumps(strategic.merge(target, patch, LISTS))
    assert json.dumps(target) == before


@pytest.mark.parametrize(
    "patch",
    [
        {"$retainKeys": [{}]}, {"$retainKeys": "a"}, {"$patch": "odd"}, {"$patch": {}}, {"$odd": 1},
        {"conditions": [1]}, {"conditions": [{}]}, {"conditions": [{"type": {}}]}, {"finalizers": [1]},
        {"$deleteFromPrimitiveList/finalizers": [{}]}, {"$deleteFromPrimitiveList/finalizers": 1},
    ],
)  # fmt: skip
def test_a_malformed_strategic_patch_is_refused(patch: Any) -> None:
    with pytest.raises(patches.PatchError):
        strategic.merge({"conditions": [{"type": "a"}], "finalizers": ["a"]}, patch, LISTS)


def test_a_list_replaces_a_value_of_another_type() -> None:
    found = strategic.merge(
        {"conditions": "text", "finalizers": 1}, {"conditions": [{"type": "a"}], "finalizers": ["b"]}, LISTS
    )
    assert found == {"conditions": [{"type": "a"}], "finalizers": ["b"]}


def test_directives_apply_to_missing_members() -> None:
    patch = {"a": {"$patch": "replace", "b": 1}, "c": {"$retainKeys": ["d"], "d": 1}}
    assert strategic.merge({}, patch, LISTS) == {"a": {"b": 1}, "c": {"d": 1}}


def test_long_lists_merge_in_linear_time() -> None:
    entries = [{"type": str(number)} for number in range(20_000)]
    names = [str(number) for number in range(20_000)]
    merged = strategic.merge(
        {"conditions": entries, "finalizers": names}, {"conditions": entries[::-1], "finalizers": names[::-1]}, LISTS
    )
    assert merged == {"conditions": entries, "finalizers": names}


def test_thousands_of_applied_fields_are_removed_in_linear_time() -> None:
    manager = Manager("m", "Apply", "v1")
    config = {"metadata": {"name": "one"}, "data": {str(number): "" for number in range(20_000)}}
    made, owned = apply.apply({}, config, manager, None, "now", force=False)
    made["metadata"] = {**made["metadata"], "managedFields": managers.write(owned)}
    left, _ = apply.apply(made, {"metadata": {"name": "one"}}, manager, None, "now", force=False)
    assert left.get("data", {}) == {}
    assert len(made["data"]) == 20_000


PARTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "parts": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}},
        },
        "names": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    },
}  # fmt: skip
ALICE, BOB = Manager("alice", managers.APPLY, "v1"), Manager("bob", managers.APPLY, "v1")


def applied(live: Any, manager: Manager, **fields: Any) -> dict[str, Any]:
    """The object after a manager applied these fields."""
    config = {"metadata": {"name": "one"}, **fields}
    made, owned = apply.apply(live, config, manager, PARTS, "now", force=True)
    return {**made, "metadata": {"name": "one", "managedFields": managers.write(owned)}}


def test_list_items_without_owners_are_removed_in_linear_time() -> None:
    many = [str(number) for number in range(10_000)]
    made = applied({}, ALICE, names=many, parts=[{"name": name} for name in many])
    made = applied(made, BOB, names=["7", "x"], parts=[{"name": "8", "size": 1}])
    left = applied(made, ALICE)
    assert (left["names"], left["parts"]) == (["7", "x"], [{"name": "8", "size": 1}])


def test_only_a_field_is_removed_while_another_manager_owns_the_item() -> None:
    made = applied({}, ALICE, parts=[{"name": "a", "size": 1}])
    made = applied(made, BOB, parts=[{"name": "a"}])
    assert applied(made, ALICE)["parts"] == [{"name": "a"}]


def test_the_last_applied_annotation_may_contain_any_text() -> None:
    made = applied({}, BOB, names=["a"], parts=[])
    for text in ("[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "1", "NaN", "x"):
        noted = {**made, "spec": 1, "metadata": {**made["metadata"], "annotations": {apply.LAST_APPLIED: text}}}
        owned = managers.write({BOB: managers.Entry(frozenset({("f:spec",)}), "now")})
        noted["metadata"]["managedFields"] = owned
        with pytest.raises(apply.Conflicts):
            apply.apply(noted, {"spec": 2}, Manager("kubectl", managers.APPLY, "v1"), PARTS, "now", force=False)
