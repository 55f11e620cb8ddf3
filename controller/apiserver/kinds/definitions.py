"""CustomResourceDefinitions: what is wrong with one, and what the server adds to one that it accepts."""

from __future__ import annotations

import re
from typing import Any

from controller.apiserver import times
from controller.apiserver.schemas import rules, strings, structural
from controller.apiserver.schemas.causes import Cause

Object = dict[str, Any]

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
SHAPE: Object = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["group", "names", "scope", "versions"],
            "properties": {
                "group": {"type": "string", "minLength": 1},
                "scope": {"type": "string", "enum": ["Cluster", "Namespaced"]},
                "names": {
                    "type": "object",
                    "required": ["plural", "kind"],
                    "properties": {
                        "plural": {"type": "string"},
                        "kind": {"type": "string"},
                        "singular": {"type": "string"},
                        "listKind": {"type": "string"},
                        "shortNames": {"type": "array", "items": {"type": "string"}},
                        "categories": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "versions": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "served", "storage", "schema"],
                        "properties": {
                            "name": {"type": "string"},
                            "served": {"type": "boolean"},
                            "storage": {"type": "boolean"},
                            "subresources": {"type": "object"},
                            "schema": {
                                "type": "object",
                                "required": ["openAPIV3Schema"],
                                "properties": {"openAPIV3Schema": {"type": "object"}},
                            },
                            "additionalPrinterColumns": {
                                "type": "array",
                                "items": {"type": "object", "required": ["name", "type", "jsonPath"]},
                            },
                            "selectableFields": {
                                "type": "array",
                                "items": {"type": "object", "required": ["jsonPath"]},
                            },
                        },
                    },
                },
            },
        },
    },
}


def faults(item: Object) -> list[Cause]:
    """Everything that keeps a definition from being served."""
    if causes := structural.validate(item, SHAPE):
        return causes
    spec = item["spec"]
    wanted, name = f"{spec['names']['plural']}.{spec['group']}", item["metadata"]["name"]
    causes = []
    if name != wanted:
        message = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        causes.append(Cause("FieldValueInvalid", message, "metadata.name"))
    if sum(bool(version["storage"]) for version in spec["versions"]) != 1:
        message = "Invalid value: must have exactly one version marked as storage version"
        causes.append(Cause("FieldValueInvalid", message, "spec.versions"))
    for index, version in enumerate(spec["versions"]):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        causes += _schema_faults(version["schema"]["openAPIV3Schema"], path)
    return causes


def accepted(item: Object, old: Object | None) -> Object:
    """The definition with the status that an accepted one has. One with faults stays as it is, to be refused."""
    if faults(item):
        return item
    spec_names = item["spec"]["names"]
    names = {**spec_names, "singular": spec_names.get("singular") or spec_names["kind"].lower()}
    names["listKind"] = spec_names.get("listKind") or f"{spec_names['kind']}List"
    before = item.get("status") or (old or {}).get("status", {})
    stored = [version["name"] for version in item["spec"]["versions"] if version["storage"]]
    known = [name for name in before.get("storedVersions", ()) if name not in stored]
    status = {"acceptedNames": names, "conditions": _conditions(before), "storedVersions": [*known, *stored]}
    spec = {"conversion": {"strategy": "None"}, **item["spec"], "names": names}
    return {**item, "spec": spec, "status": status}


def _conditions(before: Object) -> list[Object]:
    """Those that were there, and those that every accepted definition has."""
    known = list(before.get("conditions") or ())
    there = {condition.get("type") for condition in known}
    return known + [
        {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": times.now()}
        for type_, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
        if type_ not in there
    ]


def _schema_faults(schema: Any, path: str) -> list[Cause]:
    """Patterns and rules that do not compile, in the whole schema."""
    if not isinstance(schema, dict):
        return [Cause("FieldValueTypeInvalid", f"Invalid value: {path} must be an object", path)]
    causes = [
        *_pattern_faults(schema, path),
        *rules.faults(schema, path),
    ]
    for name, part in (schema.get("properties") or {}).items():
        causes += _schema_faults(part, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if name in schema and not isinstance(schema[name], bool):
            causes += _schema_faults(schema[name], f"{path}.{name}")
    return causes


def _pattern_faults(schema: Object, path: str) -> list[Cause]:
    try:
        strings.compiled(schema.get("pattern", ""))
    except (re.error, TypeError, RecursionError) as error:
        return [
            Cause("FieldValueInvalid", f"Invalid value: must be a valid regular expression: {error}", f"{path}.pattern")
        ]
    return []
