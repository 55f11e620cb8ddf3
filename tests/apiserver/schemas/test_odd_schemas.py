"""Hostile and malformed definitions are refused or safe to serve; the cost of rules and patterns is bounded."""

from __future__ import annotations

import copy
import json
import resource
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import bounds, failures
from controller.apiserver.kinds import definitions
from controller.apiserver.kinds.resources import Resource, of_definition
from controller.apiserver.objects import admission, fieldsets
from controller.apiserver.schemas import rules, soundness, strings, structural
from controller.apiserver.schemas.cel import meter

WIDGETS = yaml.safe_load((Path(__file__).parents[2] / "conformance" / "widgets.yaml").read_text())
OBJECT = {"spec": {"size": 1, "color": "Red", "parts": [{"name": "a"}, {"name": "b"}]}, "status": {"phase": "x"}}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 1.5, True, "x", "", [], [1], {}, {"a": 1}, [{}], ["x"], "foo", {"x": {"type": "foo"}}, "(", "/"]
)
KEYWORDS = st.sampled_from(
    ["type", "pattern", "format", "minimum", "maximum", "multipleOf", "exclusiveMinimum", "maxLength", "minItems",
     "maxProperties", "enum", "required", "properties", "items", "additionalProperties", "allOf", "anyOf", "oneOf",
     "not",
     "nullable", "default", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
     "x-kubernetes-int-or-string", "x-kubernetes-embedded-resource", structural.PRESERVE]
)  # fmt: skip
SCHEMAS = st.recursive(
    ODD | st.sampled_from(["string", "integer", "number", "array", "object", "set", "map"]),
    lambda inner: (
        st.dictionaries(KEYWORDS, inner | st.lists(inner, max_size=2), max_size=4)
        | st.dictionaries(st.sampled_from(["spec", "status", "size", "parts", "name"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@given(schema=SCHEMAS)
def test_a_valid_schema_can_process_any_object(schema: Any) -> None:
    schema = soundness.without_nulls(schema)
    if soundness.faults(schema, "schema"):
        return
    for value in (OBJECT, None, 1, "x", [1, {"name": "a"}], {"size": [None]}):
        item = copy.deepcopy(value)
        structural.prune(item, schema)
        structural.apply_defaults(item, schema, bounds.Budget(item))
        json.dumps([structural.validate(item, schema), rules.check(schema, item, None)])
        if isinstance(item, dict):
            fieldsets.of_object(item, schema)


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


@given(data=st.data())
def test_a_malformed_definition_is_refused_or_served(data: st.DataObject) -> None:
    item: Any = copy.deepcopy(WIDGETS)
    around: Any = item
    name: Any = "spec"
    while data.draw(st.booleans()) and (keys := _keys(around[name])):
        around, name = around[name], data.draw(st.sampled_from(keys))
    around[name] = data.draw(ODD)
    made = definitions.with_status(item, None)
    if not definitions.faults(made):
        for resource in of_definition(made):
            json.dumps(resource.schema)
            assert resource.kind


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "foo"}, {"type": ["string"]}, {"pattern": "("}, {"pattern": "(?=a)"}, {"pattern": "((a{99}){99}){99}"},
        {"properties": []}, {"properties": {"a": 1}}, {"items": [{}]}, {"allOf": {}}, {"allOf": [{"pattern": "["}]},
        {"not": {"type": "foo"}}, {"required": "a"}, {"required": [1]}, {"multipleOf": 0}, {"maxLength": "1"},
        {"x-kubernetes-list-type": "odd"}, {"x-kubernetes-list-map-keys": [{}]}, {"x-kubernetes-validations": [1]},
        {"x-kubernetes-validations": [{"rule": "1" + "+1" * 20_000}]}, {"x-kubernetes-validations": [{"rule": {}}]},
    ],
)  # fmt: skip
def test_an_invalid_schema_is_refused(schema: Any) -> None:
    assert soundness.faults({"type": "object", "properties": {"a": schema}}, "")


@pytest.mark.parametrize("part", ["kind", "plural", "listKind", "singular"])
@pytest.mark.parametrize("name", ["a/b", "a b", "..", "a\n", "x" * 64, 1])
def test_an_invalid_name_of_a_kind_is_refused(part: str, name: Any) -> None:
    item = copy.deepcopy(WIDGETS)
    item["spec"]["names"][part] = name
    assert definitions.faults(definitions.with_status(item, None))


def test_a_stored_schema_with_an_invalid_type_or_pattern() -> None:
    assert structural.validate("x", {"type": "foo"})
    assert not structural.validate("x", {"type": "string", "pattern": "(?=x)"})


def test_pattern_matching_takes_linear_time() -> None:
    assert not strings.matches("^(a+)+$", "a" * 100_000 + "b")
    assert not strings.matches("^a$", "a\n")


@pytest.mark.parametrize(
    "rule",
    ["1 / 0 == 1", "9223372036854775807 + self > 0", "int(1e300) > 0", "[1][5] == 1", "isInteger('1e99999999')",
     "quantity('1e99999999').asInteger() > 0", "'aaaa'.replace('', 'b'.replace('b', self)) == ''",
     "'a'.find('(') == ''",
     "'x'.matches('(')", "timestamp('9999-12-31T23:59:59Z') + duration('99999h') > timestamp('2020-01-01T00:00:00Z')"],
)  # fmt: skip
def test_an_evaluation_error_is_a_fault_of_the_object(rule: str) -> None:
    value: Any = "y" * (1 << 20) if "replace" in rule else 1
    (cause,) = rules.check({"x-kubernetes-validations": [{"rule": rule}]}, value, None)
    assert cause.reason == "FieldValueInvalid"


def test_the_cost_of_rules_is_limited() -> None:
    nested = {"x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, self.all(z, x + y + z >= 0)))"}]}
    (cause,) = rules.check(nested, list(range(200)), None)
    assert meter.EXCEEDED in cause.message
    assert not rules.check(nested, list(range(10)), None)
    one = {"x-kubernetes-validations": [{"rule": "self.all(x, x >= 0) && self.all(x, x < 50000)"}]}
    assert not rules.check(one, list(range(20_000)), None)


def test_duplicates_in_a_long_list_are_found_in_linear_time() -> None:
    schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    items = [{"name": str(number)} for number in range(20_000)]
    assert len(structural.validate([*items, items[0]], schema)) == 1


TEXT = "x" * 200_000
LONG = "x" * 1_000_000
BAD_RULE = {"x-kubernetes-validations": [{"rule": "false", "messageExpression": "['x']" + ".map(a, a+a)" * 24 + "[0]"}]}


def _kind_with_defaults(default: Any) -> Resource:
    item = copy.deepcopy(WIDGETS)
    inner = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    part = {"type": "object", "properties": {"note": {**inner, "default": {"text": default}}}}
    properties = {"spec": {"type": "object", "properties": {"parts": {"type": "array", "items": part}}}}
    for version in item["spec"]["versions"]:
        version["schema"] = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    return of_definition(definitions.with_status(item, None))[0]


def _identity(kind: Resource) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "edge"}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


@pytest.mark.parametrize("default", [TEXT, [[]] * 10_000])
def test_an_object_that_defaults_make_too_large_is_refused(default: Any) -> None:
    kind = _kind_with_defaults(default)
    item = {**_identity(kind), "spec": {"parts": [{} for _ in range(20_000)]}}
    with pytest.raises(failures.Failure) as refused:
        admission.admit(kind, item, None)
    assert refused.value.code == 413
    small = admission.admit(kind, {**item, "spec": {"parts": [{}]}}, None)
    assert small["spec"]["parts"][0]["note"] == {"text": default}


@pytest.mark.parametrize("default", [TEXT, [[]] * 10_000])
def test_a_stored_object_is_read_without_defaults_beyond_the_size_limit(default: Any) -> None:
    kind = _kind_with_defaults(default)
    item = {**_identity(kind), "spec": {"parts": [{} for _ in range(20_000)]}}
    parts = admission.adapted_to_schema(kind, item)["spec"]["parts"]
    assert parts[0]["note"] == {"text": default}
    assert parts[-1] == {}
    assert all(bounds.measured(parts)[place] <= most for place, most in enumerate((bounds.VALUES, bounds.CHARACTERS)))


@pytest.mark.parametrize(
    "rule",
    ["[" + ",".join(["self"] * 100) + "].map(x, x+x+x+x).size() > 0", "['x']" + ".map(a, a+a)" * 24 + ".size() > 0",
     "[[1]]" + ".map(a, a+a)" * 20 + ".size() > 0", r"[r'\']" + ".map(a, a+a)" * 24 + r".size() > 0 && r'\' != ''",
     "['''a'b''']" + ".map(a, a+a)" * 24 + ".size() > 0 && '''a'b''' != ''",
     "[1]" + ".map(a, [a,a])" * 18, "[" + ",".join(["self"] * 100) + "]", "size(" + "+".join(["self"] * 50) + ") > 0",
     "[" + ",".join(["self"] * 100) + "].map(x, string(x)).size() > 0",
     "[" + ",".join(["self"] * 100) + "].join() != ''",
     "[" + ",".join(["1"] * 100) + "].map(x, 'aaaa'.replace('', self)).size() > 0"],
)  # fmt: skip
def test_a_rule_that_multiplies_strings_fails_within_bounded_memory(rule: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (cause,) = rules.check(
        {"x-kubernetes-validations": [{"rule": rule}]}, LONG[: 200_000 if "replace" in rule else None], None
    )
    assert cause.reason == "FieldValueInvalid"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
    if "size" in rule:
        assert meter.EXCEEDED in cause.message


def test_message_expressions_share_the_cost_budget() -> None:
    (cause,) = rules.check(BAD_RULE, 1, None)
    assert "failed rule: false" in cause.message


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (
            "self.all(a, self.exists_one(b, b.name == a.name))",
            [{"name": str(n), "v": TEXT[:30_000]} for n in range(64)],
        ),
        ("self.map(part, part.a + ':' + part.b).size() > 0", [{"a": TEXT[:20_000], "b": "z"}] * 64),
        ("(has(self.a)?1:0)+" * 12 + "0 <= 12", {"a": TEXT[:65_536]}),
        ("[has(self.a), has(self.b)].exists_one(x, x)", {"a": LONG}),
        ("self.all(x, x.startsWith('x') && x.matches('^x+$')) // unchanged", [TEXT[:60_000]] * 40),
        (f"self == '{'x' * 4000}' || self.size() > 1{' ' * 60}", LONG),
    ],
)
def test_usual_rules_can_process_long_strings(rule: str, value: Any) -> None:
    assert not rules.check({"x-kubernetes-validations": [{"rule": rule}]}, value, None)
