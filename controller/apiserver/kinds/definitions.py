"""Validates CustomResourceDefinitions and sets the status of accepted ones."""

from __future__ import annotations

from typing import Any

from controller.apiserver import times
from controller.apiserver.schemas import rules, soundness, structural
from controller.apiserver.schemas.causes import Cause

Object = dict[str, Any]

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
TEXT: Object = {"type": "string"}
EMPTY: Object = {"type": "string", "maxLength": 0}
# RFC 1035 labels; kinds may also contain capitals.
LABEL: Object = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
KIND: Object = {"type": "string", "pattern": "^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$", "maxLength": 63}
SCALE: Object = {
    "type": "object",
    "required": ["specReplicasPath", "statusReplicasPath"],
    "properties": {
        "specReplicasPath": {"type": "string", "pattern": r"^\.spec\.[^.]"},
        "statusReplicasPath": {"type": "string", "pattern": r"^\.status\.[^.]"},
        "labelSelectorPath": TEXT,
    },
}
SHAPE: Object = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["group", "names", "scope", "versions"],
            "properties": {
                "group": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253},
                "scope": {"type": "string", "enum": ["Cluster", "Namespaced"]},
                "names": {
                    "type": "object",
                    "required": ["plural", "kind"],
                    "properties": {
                        "plural": LABEL,
                        "kind": KIND,
                        "singular": {"anyOf": [LABEL, EMPTY], "type": "string"},
                        "listKind": {"anyOf": [KIND, EMPTY], "type": "string"},
                        "shortNames": {"type": "array", "nullable": True, "items": LABEL},
                        "categories": {"type": "array", "nullable": True, "items": LABEL},
                    },
                },
                "versions": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "served", "storage", "schema"],
                        "properties": {
                            "name": LABEL,
                            "served": {"type": "boolean"},
                            "storage": {"type": "boolean"},
                            "subresources": {
                                "type": "object",
                                "nullable": True,
                                "properties": {"scale": {**SCALE, "nullable": True}},
                            },
                            "schema": {
                                "type": "object",
                                "required": ["openAPIV3Schema"],
                                "properties": {"openAPIV3Schema": {"type": "object"}},
                            },
                            "additionalPrinterColumns": {
                                "type": "array",
                                "nullable": True,
                                "items": {
                                    "type": "object",
                                    "required": ["name", "type", "jsonPath"],
                                    "properties": {
                                        **dict.fromkeys(("name", "type", "jsonPath", "description"), TEXT),
                                        "priority": {"type": "integer", "nullable": True},
                                    },
                                },
                            },
                            "selectableFields": {
                                "type": "array",
                                "nullable": True,
                                "items": {"type": "object", "required": ["jsonPath"], "properties": {"jsonPath": TEXT}},
                            },
                        },
                    },
                },
            },
        },
    },
}


def faults(item: Object) -> list[Cause]:
    """Faults of a definition, which prevent it from being served."""
    # Alone, because everything below indexes into the definition.
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
    if len({version["name"] for version in spec["versions"]}) != len(spec["versions"]):
        message = "Invalid value: must contain unique version names"
        causes.append(Cause("FieldValueInvalid", message, "spec.versions"))
    # Before the rules are compiled: compiling is what the limit bounds.
    if sum(rules.characters(version["schema"]["openAPIV3Schema"]) for version in spec["versions"]) > rules.CHARACTERS:
        message = f"Forbidden: x-kubernetes-validations have more than {rules.CHARACTERS} characters; shorten the rules"
        return [*causes, Cause("FieldValueForbidden", message, "spec.versions")]
    for index, version in enumerate(spec["versions"]):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        causes += soundness.faults(version["schema"]["openAPIV3Schema"], path)
    return causes


def with_status(item: Object, old: Object | None) -> Object:
    """The definition with the status of an accepted one. One with faults stays unchanged: validation refuses it."""
    # Before validation: to Kubernetes a null in a schema is an absent keyword, and no fault.
    item = _tidied(item)
    # This runs before ``check``, which reports the faults; the code below needs a sound definition.
    if faults(item):
        return item
    spec_names = item["spec"]["names"]
    names = {**spec_names, "singular": spec_names.get("singular") or spec_names["kind"].lower()}
    names["listKind"] = spec_names.get("listKind") or f"{spec_names['kind']}List"
    before = item.get("status") or (old or {}).get("status", {})
    stored = [version["name"] for version in item["spec"]["versions"] if version["storage"]]
    # Earlier versions stay listed: objects may still be stored in them. Only a migration may remove them.
    known = [name for name in before.get("storedVersions", ()) if name not in stored]
    status = {"acceptedNames": names, "conditions": _conditions(before), "storedVersions": [*known, *stored]}
    return {**item, "spec": {**with_defaults(item["spec"]), "names": names}, "status": status}


def with_defaults(spec: Object) -> Object:
    """The spec of a definition with the defaults of fields other than the names."""
    return {"conversion": {"strategy": "None"}, **spec}


def _tidied(item: Object) -> Object:
    """The definition with tidied schemas, as far as its structure allows."""
    spec = item.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("versions"), list):
        return item
    return {**item, "spec": {**spec, "versions": [_tidied_version(version) for version in spec["versions"]]}}


def _tidied_version(version: Any) -> Any:
    # Not validated yet: anything may be here.
    schema = version.get("schema") if isinstance(version, dict) else None
    if not isinstance(schema, dict) or "openAPIV3Schema" not in schema:
        return version
    return {**version, "schema": {**schema, "openAPIV3Schema": soundness.without_nulls(schema["openAPIV3Schema"])}}


def _conditions(before: Object) -> list[Object]:
    """The conditions of the old status plus those of every accepted definition."""
    # Existing ones keep their lastTransitionTime: applying a definition again must change nothing.
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
