"""CEL rules as found in definitions in use: unique references, immutable parts, quantities, addresses, times."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.conformance.conftest import Api, Session
from tests.conformance.shared_server import SharedServer
from tests.conformance.test_definitions import GADGETS
from tests.conformance.test_validation import PATH, causes_of, definition, sample

RULES = "x-kubernetes-validations"
SHORT = {"type": "string", "maxLength": 63}
SAME = (
    "a.name == b.name && (!has(a.__namespace__) && !has(b.__namespace__) || "
    "has(a.__namespace__) && has(b.__namespace__) && a.__namespace__ == b.__namespace__)"
)
PROPERTIES: dict[str, Any] = {
    "parents": {
        "type": "array",
        "maxItems": 32,
        "items": {"type": "object", "required": ["name"], "properties": {"name": SHORT, "namespace": SHORT}},
        RULES: [{"rule": f"self.all(a, self.exists_one(b, {SAME}))", "message": "not distinct"}],
    },
    "networks": {
        "type": "array",
        "maxItems": 25,
        "x-kubernetes-list-type": "set",
        "items": {**SHORT, RULES: [{"rule": "isCIDR(self) && cidr(self).prefixLength() > 0", "message": "no range"}]},
    },
    "size": {
        "x-kubernetes-int-or-string": True,
        "maxLength": 20,
        RULES: [{"rule": "quantity(string(self)).isGreaterThan(quantity('1Mi'))", "message": "too small"}],
    },
    "keep": {**SHORT, "format": "duration", RULES: [{"rule": "self >= duration('1h')", "message": "too short"}]},
    "version": {
        "type": "integer",
        RULES: [{"rule": "!oldSelf.hasValue() || self >= oldSelf.value()", "optionalOldSelf": True,
                 "message": "no way back", "reason": "FieldValueForbidden"}],
    },
    "handle": {**SHORT, RULES: [{"rule": "self == oldSelf", "message": "handle is immutable"}]},
    "address": SHORT,
    "discovery": SHORT,
    "labels": {
        "type": "object",
        "maxProperties": 20,
        "additionalProperties": SHORT,
        RULES: [{"rule": "self.all(key, key.find('^([^/]+)').endsWith('kubernetes.io') == false)",
                 "messageExpression": "'%d labels, one is reserved'.format([self.size()])"}],
    },
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": PROPERTIES,
    RULES: [
        {"rule": "!(has(self.address) && has(self.discovery))", "message": "one of both", "fieldPath": ".address"},
        {"rule": "self.?labels[?'pinned'].orValue('') == '' || has(self.version)", "message": "pin a version"},
    ],
}
VALID: dict[str, Any] = {
    "parents": [{"name": "a"}, {"name": "a", "namespace": "x"}, {"name": "a", "namespace": "y"}],
    "networks": ["10.0.0.0/8", "fd00::/8"],
    "size": "2Mi",
    "keep": "24h",
    "version": 2,
    "handle": "one",
    "labels": {"example.com/a": "b", "pinned": "yes"},
}


async def test_an_object_that_satisfies_all_rules_is_created_and_updated(api: Api) -> None:
    await api.define(definition(SCHEMA))
    async with Session(api) as (http, url):
        async with http.post(url + PATH, json=sample(VALID)) as response:
            made = await response.json()
            assert response.status == 201, made
        turned = {**made, "spec": {**VALID, "networks": VALID["networks"][::-1], "version": 3}}
        async with http.put(f"{url}{PATH}/one", json=turned) as response:
            written = await response.json()
            assert response.status == 200, written
        back = {**written, "spec": {**written["spec"], "version": 1, "handle": "two"}}
        async with http.put(f"{url}{PATH}/one", json=back) as response:
            assert causes_of(await response.json()) == [
                "Forbidden spec.version: Forbidden: no way back",
                'Invalid spec.handle: Invalid value: "two": handle is immutable',
            ]


async def test_a_rule_of_the_whole_object_compares_it_with_the_old_one(api: Api) -> None:
    whole = definition({"type": "object", "properties": {"size": {"type": "integer"}}})
    rule = {"rule": "has(oldSelf.spec.size) && self.spec.size >= oldSelf.spec.size", "message": "no way back"}
    whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"][RULES] = [rule]
    await api.define(whole)
    async with Session(api) as (http, url):
        async with http.post(url + PATH, json=sample({"size": 2})) as response:
            made = await response.json()
            assert response.status == 201, made
        async with http.put(f"{url}{PATH}/one", json={**made, "spec": {"size": 3}}) as response:
            grown = await response.json()
            assert response.status == 200, grown
        async with http.put(f"{url}{PATH}/one", json={**grown, "spec": {"size": 1}}) as response:
            assert [cause.rpartition(": ")[2] for cause in causes_of(await response.json())] == ["no way back"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"parents": [{"name": "a", "namespace": "x"}] * 2}, "Invalid spec.parents: Invalid value: not distinct"),
        ({"networks": ["10.0.0.0"]}, 'Invalid spec.networks[0]: Invalid value: "10.0.0.0": no range'),
        ({"size": 1024}, "Invalid spec.size: Invalid value: 1024: too small"),
        ({"keep": "30m"}, 'Invalid spec.keep: Invalid value: "30m": too short'),
        ({"labels": {"kubernetes.io/x": ""}}, "Invalid spec.labels: Invalid value: 1 labels, one is reserved"),
        ({"address": "a", "discovery": "b"}, "Invalid spec.address: Invalid value: one of both"),
        ({"version": None}, "Invalid spec: Invalid value: pin a version"),
    ],
)  # fmt: skip
async def test_a_violated_rule_names_its_field(api: Api, change: dict[str, Any], expected: str) -> None:
    await api.define(definition(SCHEMA))
    spec = {name: value for name, value in {**VALID, **change}.items() if value is not None}
    async with Session(api) as (http, url), http.post(url + PATH, json=sample(spec)) as response:
        assert causes_of(await response.json()) == [expected]


@pytest.mark.differs(
    "With webhook conversion, a definition is served in its storage version only",
    "webhooks do not run here, and an unconverted object under another version would be misread",
)
async def test_webhook_conversion_limits_the_served_versions(api: Api) -> None:
    item: dict[str, Any] = copy.deepcopy(GADGETS)
    service = {"namespace": "edge", "name": "none", "port": 443}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"service": service}}
    item["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    await api.kubectl("create", "-f", "-", stdin=item)
    stored = [version for version in item["spec"]["versions"] if version["storage"]]
    async with Session(api) as (http, url):
        await SharedServer(http, url).until_served({**item["spec"], "versions": stored})
        async with http.get(f"{url}/apis/test.getedge.me/v1/gadgets") as answer:
            assert answer.status == (404 if api.embedded else 200)
