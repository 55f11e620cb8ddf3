"""Convert pydantic models to structural schemas of apiextensions/v1 (API reference: CustomResourceDefinition).

A structural schema has no $ref, no nullable unions and no null defaults, all of which pydantic generates.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

# Keywords that pydantic generates and structural schemas do not allow.
_DROPPED = ("title", "$defs", "const")


def of(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model, with nested models inlined."""
    generated = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(generated, generated.get("$defs", {}))


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = _resolved(_without_null(node), definitions)
    if "const" in node:
        node = {**node, "enum": [node["const"]], "type": "string"}
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in result:
        result["properties"] = {name: _structural(part, definitions) for name, part in result["properties"].items()}
    if "items" in result:
        result["items"] = _structural(result["items"], definitions)
    return _with_plain_default(result)


def _resolved(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Inline the referenced schema; keywords next to the reference take precedence."""
    reference = node.get("$ref")
    if reference is None:
        return node
    siblings = {key: value for key, value in node.items() if key != "$ref"}
    return {**definitions[reference.rsplit("/", 1)[1]], **siblings}


def _without_null(node: Schema) -> Schema:
    """Turn ``X | None`` into an optional X: Kubernetes objects omit a field instead of setting it to null."""
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if not choices:
        return node
    siblings = {key: value for key, value in node.items() if key != "anyOf"}
    return {**choices[0], **siblings}


def _with_plain_default(node: Schema) -> Schema:
    default = node.get("default")
    if isinstance(default, dict):
        default = {key: value for key, value in default.items() if value not in (None, [], {})}
    # The API writes every default into every object; an empty one would say nothing there.
    if default is None or default in ([], "", ()):
        return {key: value for key, value in node.items() if key != "default"}
    return {**node, "default": default}
