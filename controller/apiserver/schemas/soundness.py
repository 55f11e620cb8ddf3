"""Validates the schema of a definition itself: its keywords have the types that validation relies on. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller.apiserver.schemas import rules, strings, structural
from controller.apiserver.schemas.causes import Cause, quoted
from controller.apiserver.schemas.structural import PRESERVE, TYPES

Schema = dict[str, Any]

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
# Not recursive: ``faults`` descends by itself, so that each fault gets the path of its own schema.
_ANY_OBJECT = {"type": "object", PRESERVE: True}
_TEXTS = {"type": "array", "items": _TEXT}
_SCHEMAS = {"type": "array", "items": _ANY_OBJECT}
_RULE = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("rule", "message", "messageExpression", "fieldPath"), _TEXT),
        "reason": {"type": "string", "enum": list(rules.REASONS)},
        "optionalOldSelf": {"type": "boolean", "nullable": True},
    },
}
# The schema of one schema; its subschemas are validated separately.
_SHAPE: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["", *TYPES]},
        **dict.fromkeys(("pattern", "format", "title", "description"), _TEXT),
        **dict.fromkeys(("minimum", "maximum"), _NUMBER),
        "multipleOf": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum", "nullable"), _FLAG),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _COUNT),
        "enum": {"type": "array"},
        "required": _TEXTS,
        "properties": {"type": "object", "additionalProperties": _ANY_OBJECT},
        "items": _ANY_OBJECT,
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), _SCHEMAS),
        "not": _ANY_OBJECT,
        PRESERVE: {"type": "boolean", "nullable": True},
        **dict.fromkeys(("x-kubernetes-int-or-string", "x-kubernetes-embedded-resource"), _FLAG),
        "x-kubernetes-list-type": {"type": "string", "enum": ["atomic", "set", "map"]},
        "x-kubernetes-list-map-keys": _TEXTS,
        "x-kubernetes-map-type": {"type": "string", "enum": ["granular", "atomic"]},
        "x-kubernetes-validations": {"type": "array", "items": _RULE},
    },
}


def faults(schema: Any, path: str) -> list[Cause]:
    """All faults of a schema and its subschemas: wrong types, and patterns and rules that do not compile."""
    # Alone: with wrong types the code below, which compiles patterns and rules, could fail.
    if causes := structural.validate(schema, _SHAPE, path):
        return causes
    causes = [*_pattern_faults(schema, path), *rules.faults(schema, path)]
    for place, part in _parts(schema):
        causes += faults(part, f"{path}.{place}")
    return causes


def _parts(schema: Schema) -> Iterator[tuple[str, Any]]:
    """The subschemas of a schema with their paths."""
    for name, part in schema.get("properties", {}).items():
        yield f"properties[{name}]", part
    for name in ("items", "not", "additionalProperties"):
        if name in schema and not (name == "additionalProperties" and isinstance(schema[name], bool)):
            yield name, schema[name]
    for name in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(schema.get(name, ())):
            yield f"{name}[{index}]", part


def _pattern_faults(schema: Schema, path: str) -> list[Cause]:
    why = strings.pattern_fault(schema.get("pattern", ""))
    if not why:
        return []
    message = f"Invalid value: {quoted(schema['pattern'])}: must be a valid regular expression, but isn't: {why}"
    return [Cause("FieldValueInvalid", message, f"{path}.pattern")]


def without_nulls(schema: Any) -> Any:
    """The schema without nulls, which Kubernetes treats as absent."""
    if not isinstance(schema, dict):
        return schema
    # A default may be null on purpose, in a nullable field.
    return {name: _tidied_part(name, part) for name, part in schema.items() if part is not None or name == "default"}


def _tidied_part(name: str, part: Any) -> Any:
    if name in ("items", "not", "additionalProperties"):
        return without_nulls(part)
    if name == "properties" and isinstance(part, dict):
        return {inner: without_nulls(each) for inner, each in part.items()}
    if name in ("allOf", "anyOf", "oneOf") and isinstance(part, list):
        return [without_nulls(each) for each in part]
    return part
