"""Validation of objects by schema and rules: every fault, with Kubernetes' messages and causes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.conformance.conftest import Api, Session

SAMPLES = yaml.safe_load((Path(__file__).parent / "samples.yaml").read_text())
PATH = "/apis/samples.getedge.me/v1/samples"
UNCHECKED = (
    "Invalid <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def definition(spec: dict[str, Any]) -> dict[str, Any]:
    """The definition of the kind Sample with this schema for its spec."""
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "samples.samples.getedge.me"},
        "spec": {
            "group": "samples.getedge.me",
            "scope": "Cluster",
            "names": {"kind": "Sample", "plural": "samples", "singular": "sample"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def sample(spec: dict[str, Any]) -> dict[str, Any]:
    """A Sample with this spec."""
    body = {"apiVersion": "samples.getedge.me/v1", "kind": "Sample", "metadata": {"name": "one"}}
    return {**body, "spec": spec}


def causes_of(answer: dict[str, Any]) -> list[str]:
    """The causes in the format of samples.yaml, sorted, as their order is not significant."""
    causes = answer["details"]["causes"]
    lines = [f"{c['reason'].removeprefix('FieldValue')} {c['field']}: {c['message']}" for c in causes]
    return sorted("..." if line == UNCHECKED else line for line in lines)


async def test_every_fault_of_an_object_is_reported_with_kubernetes_messages(api: Api) -> None:
    await api.define(definition(SAMPLES["schema"]))
    found = []
    async with Session(api) as (http, url):
        for case in SAMPLES["cases"]:
            given = case["given"]
            spec = given if not given or "kind" in given else {"kind": "x", **given}
            async with http.post(f"{url}{PATH}?dryRun=All", json=sample(spec)) as response:
                answer = await response.json()
            outcome = {"kept": answer["spec"]} if response.status == 201 else {"causes": causes_of(answer)}
            found.append({"given": given, **outcome})
    assert found == [
        {**case, "causes": sorted(case["causes"])} if "causes" in case else case for case in SAMPLES["cases"]
    ]


async def test_the_message_has_all_causes(api: Api) -> None:
    await api.define(definition(SAMPLES["schema"]))
    async with Session(api) as (http, url), http.post(url + PATH, json=sample({"kind": "x", "open": 0})) as response:
        answer = await response.json()
    assert answer["message"] == (
        'Sample.samples.getedge.me "one" is invalid: '
        "spec.open: Invalid value: 0: spec.open in body should be greater than 0"
    )
    assert {key: answer["details"][key] for key in ("name", "group", "kind")} == {
        "name": "one",
        "group": "samples.getedge.me",
        "kind": "Sample",
    }


async def test_rule_messages_quote_scalar_values_only(api: Api) -> None:
    rule = "x-kubernetes-validations"
    short = {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 3}}
    properties = {
        "text": {"type": "string", "maxLength": 5, rule: [{"rule": "self == 'x'", "message": "not x"}]},
        "number": {"type": "integer", rule: [{"rule": "self < 3", "message": "not small"}]},
        "list": {**short, rule: [{"rule": "size(self) < 2", "message": "not short"}]},
        "twice": {**short, rule: [{"rule": "size(self) < 2", "reason": "FieldValueDuplicate"}]},
        "needed": {**short, rule: [{"rule": "size(self) < 2", "reason": "FieldValueRequired", "message": "give one"}]},
    }
    await api.define(definition({"type": "object", "properties": properties}))
    spec = {"text": "y", "number": 9, "list": ["a", "b"], "twice": ["a", "b"], "needed": ["a", "b"]}
    async with Session(api) as (http, url), http.post(url + PATH, json=sample(spec)) as response:
        answer = await response.json()
    assert causes_of(answer) == [
        "Duplicate spec.twice: Duplicate value",
        "Invalid spec.list: Invalid value: not short",
        "Invalid spec.number: Invalid value: 9: not small",
        'Invalid spec.text: Invalid value: "y": not x',
        "Required spec.needed: Required value: give one",
    ]
