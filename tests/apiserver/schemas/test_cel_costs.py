"""Cost limits of CEL rules: usual rules stay below them, hostile ones are aborted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.apiserver.kinds import definitions
from controller.apiserver.schemas import rules
from controller.apiserver.schemas.cel import meter, parser

LONG = "x" * 200_000
SAME_PARENT = (
    "a.kind == b.kind && a.name == b.name && "
    "(((!has(a.__namespace__) || a.__namespace__ == '') && (!has(b.__namespace__) || b.__namespace__ == '')) || "
    "(has(a.__namespace__) && has(b.__namespace__) && a.__namespace__ == b.__namespace__))"
)
OF_SIXTEEN = " + ".join(f"(self.size() > {n} ? self[{n}].matches.size() : 0)" for n in range(16))
RESTRICTED = "self.all(x, x in ['a/b', 'c/d'] || !x.find('^([^/]+)').endsWith('example.com'))"
# Rules of widely used definitions (routes, gateways, node pools, secret stores) on the largest lists they accept.
USUAL = {
    "parents of a route": (f"self.all(a, self.exists_one(b, {SAME_PARENT}))",
                           [{"kind": "Gateway", "name": f"g{n}", "namespace": "x", "note": LONG} for n in range(32)]),
    "listeners of a gateway": ("self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol))",
                               [{"port": n, "protocol": "HTTP"} for n in range(64)]),
    "total matches of all rules": (f"{OF_SIXTEEN} <= 128", [{"matches": [{"path": "/"}] * 8} for _ in range(16)]),
    "one of many": (" + ".join(f"(has(self.f{n}) ? 1 : 0)" for n in range(40)) + " == 1", {"f7": LONG}),
    "labels": (RESTRICTED, {f"key-{n}.test/x": "v" for n in range(100)}),
    "unique keys": ("self.all(a, self.exists_one(b, a.key == b.key))", [{"key": str(n)} for n in range(200)]),
    "ranges without overlap": ("self.all(a, self.exists_one(b, cidr(a).containsCIDR(b)))",
                                   [f"10.{n}.0.0/16" for n in range(50)]),
    "names joined for a message": ("self.map(x, x.name + ':' + x.value).join(',').size() > 0",
                                   [{"name": "a", "value": "b" * 1000}] * 50),
}  # fmt: skip
HOSTILE = {
    "triples": ("self.all(a, self.all(b, self.all(c, a + b + c >= 0)))", list(range(200))),
    "nested values": ("self.all(a, self.all(b, a == b))", [{"a": ["x"] * 300}] * 100),
    "equal long strings": ("self.all(a, self.all(b, a == b))", [LONG] * 40),
    "many matches": ("self.findAll('x').size() > 0", LONG * 5),
    "a pattern on many strings": ("self.all(a, a.matches('" + "(a|b)*" * 100 + "'))", ["ab" * 5000] * 100),
    "pairwise comparison of a list": ("self.distinct().size() > 0", list(range(3000))),
    "splitting into characters": ("self.split('').map(x, self.split('').size()).size() > 0", LONG),
    "formatting a shared value": ("'%s'.format([[1]" + ".map(a, [a, a])" * 24 + "]).size() > 0", 1),
    "a replacement that grows": ("self.replace('', self).size() > 0", LONG),
}  # fmt: skip


def _schema(rule: str) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": rule}]}


@pytest.mark.parametrize("case", USUAL)
def test_usual_rules_stay_within_the_cost_limit(case: str) -> None:
    rule, value = USUAL[case]
    assert not rules.faults(_schema(rule), "")
    assert not rules.check(_schema(rule), value, None)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_costly_rule_is_aborted(case: str) -> None:
    rule, value = HOSTILE[case]
    (cause,) = rules.check(_schema(rule), value, None)
    assert meter.EXCEEDED in cause.message


def test_a_cost_error_is_never_absorbed() -> None:
    nested = "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"
    for rule in (f"{nested} || true", f"self.exists(x, {nested} || true)", f"false && {nested} || {nested}"):
        (cause,) = rules.check(_schema(rule), list(range(200)), None)
        assert meter.EXCEEDED in cause.message


def test_all_rules_of_an_object_share_one_budget() -> None:
    rule = "self.all(a, self.all(b, a + b >= 0))"
    schema = {"items": _schema(rule)}
    causes = rules.check(schema, [list(range(250))] * 20, None)
    assert 0 < len(causes) < 20
    assert all(meter.EXCEEDED in cause.message for cause in causes)


@pytest.mark.parametrize(
    "rule",
    ["(" * 4000 + "1" + ")" * 4000, "!" * 9000 + "true", "self" + ".a" * 4000, "[" * 4000 + "]" * 4000,
     "1" + "?1:1" * 2000 + "==1", "true" + " " * parser.LENGTH],
)  # fmt: skip
def test_a_long_or_deeply_nested_expression_is_refused(rule: str) -> None:
    assert rules.faults(_schema(rule), "")


def test_a_long_chain_of_operators_does_not_count_as_nesting() -> None:
    assert not rules.check(_schema("+".join(["1"] * 3000) + " == 3000"), 1, None)
    assert not rules.check(_schema("||".join(["false"] * 1000) + "||true"), 1, None)


def test_the_total_length_of_all_rules_of_a_definition_is_limited() -> None:
    item = yaml.safe_load((Path(__file__).parents[2] / "conformance" / "widgets.yaml").read_text())
    many = [{"rule": f"true // {n}{'x' * 4000}"} for n in range(80)]
    more = copy.deepcopy(item)
    more["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = many
    assert not definitions.faults(definitions.with_status(item, None))
    (cause,) = definitions.faults(definitions.with_status(more, None))
    assert "shorten the rules" in cause.message
