"""CEL expressions: results as in kube-apiserver 1.35 (Kubernetes documentation: CEL in Kubernetes)."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest

from controller.apiserver.schemas import rules
from controller.apiserver.schemas.cel import compiler, operators
from controller.apiserver.schemas.cel.failures import CostError, EvaluationError, ExpressionError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.typed import typed

NAMED = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "n": {"type": "number"},
        "at": {"type": "string", "format": "date-time"},
        "every": {"type": "string", "format": "duration"},
        "raw": {"type": "string", "format": "byte"},
        "a-b": {"type": "string"},
        "namespace": {"type": "string"},
        "gone": {"type": "string", "nullable": True},
        "share": {"x-kubernetes-int-or-string": True},
        "list": {"type": "array", "items": {"type": "integer"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "refs": NAMED,
    },
}
VALUE: dict[str, Any] = {
    "s": "abc", "n": 3, "at": "2023-06-14T02:00:14.5Z", "every": "1h30m", "raw": "YWJj", "a-b": "dash",
    "namespace": "ns", "gone": None, "share": "50%", "list": [1, 2, 3], "set": ["a", "b"], "map": {"k": "v"},
    "refs": [{"name": "a"}, {"name": "b", "namespace": "x"}],
}  # fmt: skip
HOLD = [
    # names
    "self.__namespace__ == 'ns' && self.a__dash__b == 'dash' && has(self.a__dash__b) && !has(self.gone)",
    "self.refs.all(a, self.refs.exists_one(b, a.name == b.name && has(a.__namespace__) == has(b.__namespace__)))",
    # optional values
    "self.?s.orValue('') == 'abc' && !self.?gone.hasValue() && self.map[?'x'].orValue('y') == 'y'",
    "self.?map.k.orValue('') == 'v' && self.?s.optMap(x, x + '!').value() == 'abc!'",
    "[?self.?s, ?self.?gone] == ['abc'] && {?'a': self.?gone} == {}",
    "optional.of(1).or(optional.none()).value() == 1 && !optional.ofNonZeroValue('').hasValue()",
    # types from the schema
    "self.n / 2.0 == 1.5 && self.at.getFullYear() == 2023 && self.at.getHours('-08:00') == 18",
    "self.every > duration('1h') && self.every.getMinutes() == 90 && self.raw == b'abc'",
    "type(self.share) == string ? self.share.endsWith('%') : self.share > 3",
    "self.set == ['b', 'a'] && self.set + ['a', 'c'] == ['a', 'b', 'c']",
    # errors that do not affect the result
    "self.list[9] == 1 || true", "!(false && self.list[9] == 1)", "self.list.exists(x, 1 / (x - 1) == 1)",
    "-7 / 2 == -3 && -7 % 2 == -1 && 7 % -2 == 1", "1 < 1.5 && dyn(1) == 1.0 && dyn('a') != 1 && dyn(true) != 1",
    # macros
    "self.list.all(i, v, v == i + 1) && self.map.transformMap(k, v, v + k) == {'k': 'vk'}",
    "self.list.map(x, x > 1, x * 2) == [4, 6] && self.list.transformList(i, v, v > 1, i) == [1, 2]",
    "[1, 2].map(x, [3, 4].map(x, x * 10)) == [[30, 40], [30, 40]] && self.list.filter(x, x > 1).sum() == 5",
    # strings
    "'%s-%d: %.2f %x %%'.format(['a', 1, 1.5, 255]) == 'a-1: 1.50 ff %'",
    """'%s'.format([[1, 'a']]) == '[1, "a"]' && '%s'.format([duration('90s')]) == '90s'""",
    "'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b' && 'ab'.replace('', '-') == '-a-b-'",
    "'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'x/y'.find('^[^/]+') == 'x' && 'Grüße'.lowerAscii().size() == 5",
    r"""r'\d' == '\\d' && "\u0061\x62" == 'ab' && '''it's''' == "it's" && b'\x61' == b'a'""",
    # lists and sets
    "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && !sets.intersects([], [1])",
    "self.list.isSorted() && self.list.max() == 3 && [3, 1].sort() == [1, 3] && [1, 1].distinct() == [1]",
    "lists.range(3) == [0, 1, 2] && [[1], [2]].flatten() == [1, 2] && self.list.last().value() == 3",
    # addresses, URLs, quantities, versions, formats
    "cidr('10.0.0.1/8').containsIP('10.1.1.1') && !cidr('10.0.0.0/16').containsCIDR('10.0.0.0/8')",
    "ip('::1').family() == 6 && !isIP('01.2.3.4') && !isIP('::ffff:1.2.3.4')",
    "cidr('10.1.2.3/8').ip() == ip('10.1.2.3')",
    "url('https://u@a.b:80/c?x=1').getHost() == 'a.b:80' && !isURL('../x') && isURL('/x')",
    "quantity('1Gi') == quantity('1024Mi') && quantity('50k').add(20).compareTo(quantity('50020')) == 0",
    "!isQuantity('1K') && semver('1.2.3-alpha.1').isLessThan(semver('1.2.3')) && !isSemver('v1.2.3')",
    "!format.dns1123Label().validate('a-b').hasValue() && format.named('uuid').value().validate('x').hasValue()",
    "true // && false",
]  # fmt: skip
FAIL = [
    "self.list[9] == 1", "self.list[-1] == 1", "self.map.x == 'y'", "1 / 0 == 1", "9223372036854775807 + 1 > 0",
    "self.list.all(x, 1 / (x - 1) > 0)", "self.list[9] == 1 || false", "optional.none().value() == 1",
    "dyn('a') + 1 == 1", "dyn(1) + 1.0 == 2.0", "timestamp(self.s) == self.at", "ip('x').family() == 4",
    "quantity('1.5').asInteger() == 1", "self.s", "self.list.slice(0, 9) == []", "[].min() == 1",
]  # fmt: skip
REFUSED = [
    "self.", "self.s == 'a", "(true", "self.list.all(x)", "self.list.all(x.y, true)", "has(self)", "foo == 1",
    "foo(1)", "self.s.foo()", "self.absent == 1", "self.refs.all(x, x.absent == '')", "self.refs[0].absent == ''",
    "self.s.matches('(')", "self.s.find('[') == ''", "duration('1x') > self.every", "timestamp('2023') == self.at",
    "cel.bind(x, 1, x == 1)", "self.`a-b` == ''", "1 == 9223372036854775808", "'\\z' == ''", "true" + " || (true" * 80,
]  # fmt: skip


def _rule(text: str, **more: Any) -> dict[str, Any]:
    return {**SCHEMA, "x-kubernetes-validations": [{"rule": text, **more}]}


@pytest.mark.parametrize("rule", HOLD)
def test_expression_is_true(rule: str) -> None:
    assert not rules.faults(_rule(rule), "")
    assert not rules.check(_rule(rule), VALUE, None)


@pytest.mark.parametrize("rule", FAIL)
def test_expression_has_an_evaluation_error(rule: str) -> None:
    assert not rules.faults(_rule(rule), "")
    assert len(rules.check(_rule(rule), VALUE, None)) == 1


@pytest.mark.parametrize("rule", REFUSED)
def test_expression_does_not_compile(rule: str) -> None:
    (cause,) = rules.faults(_rule(rule), "spec")
    assert "compilation failed" in cause.message


VALUES = [
    "1", "2u", "1.5", "1.0 / 0.0", "true", "null", "'abc'", "''", "b'a'", "[]", "[1, 2]", "['a']", "{}", "{'a': 1}",
    "int", "optional.none()", "optional.of([1])", "duration('1h')", "timestamp('0001-01-01T00:00:00Z')",
    "quantity('1Gi')", "ip('::1')", "cidr('10.0.0.0/8')", "url('https://a.b')", "semver('1.2.3')", "format.date()",
    "9223372036854775807",
]  # fmt: skip
FORMS = [
    *(f"{name}({{}})" for name in compiler.FUNCTIONS), *(f"{name}({{}}, {{}})" for name in compiler.FUNCTIONS),
    *(f"{{}} {sign} {{}}" for sign in operators.OPERATORS if not sign.endswith("_")),
    "{}[{}]", "{}[?{}]", "{}.all(x, {})", "{}.transformMapEntry(x, y, {})", "{}.map(x, y, {})", "{}.optMap(x, {})",
    "[{}, {}].sort()", "{{{}: {}}}", "'%s %d'.format([{}, {}])", "{} ? {} : 1", "{} && {}", "[?{}, {}]", "has({}.a)",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_wrong_argument_types_only_raise_cel_errors(form: str) -> None:
    seen = {f"v{place}": compiler.compiled(text)(Meter(1000, {})) for place, text in enumerate(VALUES)}
    for names in itertools.product(seen, repeat=form.count("{}")):
        program = _compiled(form.format(*names))
        with contextlib.suppress(EvaluationError, CostError):
            if program:
                program(Meter(1000, dict(seen)))


def _compiled(text: str) -> compiler.Program | None:
    with contextlib.suppress(ExpressionError):
        return compiler._compile(text)
    return None


def test_old_self_may_be_optional() -> None:
    schema = _rule("!oldSelf.hasValue() || oldSelf.value().s == self.s", optionalOldSelf=True)
    assert not rules.faults(schema, "")
    assert not rules.check(schema, VALUE, None)
    assert not rules.check(schema, {**VALUE, "n": 4}, VALUE)
    assert rules.check(schema, {**VALUE, "s": "other"}, VALUE)


def test_sets_and_maps_compare_equal_in_any_order() -> None:
    schema = _rule("self.set == oldSelf.set && self.refs == oldSelf.refs && self.at == oldSelf.at")
    turned = {**VALUE, "set": ["b", "a"], "refs": VALUE["refs"][::-1], "at": "2023-06-14T04:00:14.5+02:00"}
    assert not rules.check(schema, turned, VALUE)
    assert rules.check(schema, {**VALUE, "set": ["a", "c"]}, VALUE)


def test_message_expression_and_field_path() -> None:
    schema = _rule(
        "self.n < 1.0", messageExpression="'%s is %d items'.format([self.s, self.list.size()])", fieldPath=".n"
    )
    (cause,) = rules.check(schema, VALUE, None)
    assert (cause.field, cause.message) == ("n", "Invalid value: abc is 3 items")
    (refused,) = rules.faults(_rule("true", messageExpression="'a' +"), "")
    assert refused.field.endswith(".messageExpression")


def test_a_null_field_is_absent_also_if_nothing_else_has_a_type_of_its_own() -> None:
    assert typed({"s": "a", "gone": None}, SCHEMA) == {"s": "a"}
    assert typed({"s": "a", "unknown": None}, SCHEMA) == {"s": "a", "unknown": None}
