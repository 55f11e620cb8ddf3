"""Resolves the names in an expression: escaped field names, undeclared variables and undefined fields.

Kubernetes type-checks the whole expression against the schema; here only unknown names are reported.
"""

from __future__ import annotations

import re
from typing import Any

from controller.apiserver.schemas.cel.syntax import Fold, Index, Name, Node, Select, inner
from controller.apiserver.schemas.cel.tokens import RESERVED, WORDS
from controller.apiserver.schemas.cel.values import TYPES

Schema = dict[str, Any]

# A field with the name of a reserved word could not be written in an expression at all.
_WORDS = {*RESERVED, *WORDS, "in"}
_ESCAPED = re.compile("__(underscores|dot|dash|slash)__")
_SIGNS = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}
_OF_EVERY_OBJECT = ("apiVersion", "kind", "metadata")
_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def unescaped(name: str) -> str:
    """The unescaped field name: ``__dash__`` stands for "-", and ``__in__`` for the field "in", a reserved word."""
    if name[2:-2] in _WORDS and name == f"__{name[2:-2]}__":
        return name[2:-2]
    return _ESCAPED.sub(lambda found: _SIGNS[found[1]], name)


def undeclared(node: Node, known: dict[str, Schema | None]) -> str:
    """The first unknown name as an error, "" when there is none. ``known`` maps variables to their schema, if any."""
    if isinstance(node, Name):
        return "" if node.name in known or node.name in TYPES else f"undeclared reference to '{node.name}'"
    if isinstance(node, Fold):
        return _undeclared_in_fold(node, known)
    if isinstance(node, Select) and (fault := _undefined(_schema_of(node.operand, known), node.field)):
        return fault
    return next((fault for part in inner(node) if (fault := undeclared(part, known))), "")


def _undeclared_in_fold(node: Fold, known: dict[str, Schema | None]) -> str:
    items = (_schema_of(node.source, known) or {}).get("items")
    # Without a schema, fields of a variable are not checked: better than refusing a valid rule.
    seen = {**known, **dict.fromkeys(node.variables)}
    if isinstance(items, dict) and node.macro not in ("optMap", "optFlatMap"):
        # The last one: with two variables the first is the index.
        seen[node.variables[-1]] = items
    faults = [undeclared(node.source, known), *(undeclared(part, seen) for part in node.parts)]
    return next(filter(None, faults), "")


def _undefined(schema: Schema | None, name: str) -> str:
    properties = (schema or {}).get("properties")
    # Where the schema leaves fields open, no name can be called wrong.
    if not properties or (schema or {}).get(_PRESERVE) or isinstance((schema or {}).get("additionalProperties"), dict):
        return ""
    if name in properties or unescaped(name) in properties or name in _OF_EVERY_OBJECT:
        return ""
    return f"undefined field '{name}'"


def _schema_of(node: Node, known: dict[str, Schema | None]) -> Schema | None:
    """The schema of the value of a node, None when it is unknown."""
    if isinstance(node, Name):
        return known.get(node.name)
    if isinstance(node, Select):
        schema = _schema_of(node.operand, known) or {}
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        found = properties.get(node.field) or properties.get(unescaped(node.field)) or extra
    elif isinstance(node, Index):
        schema = _schema_of(node.operand, known) or {}
        found = schema.get("items") or schema.get("additionalProperties")
    else:
        return None
    return found if isinstance(found, dict) else None
