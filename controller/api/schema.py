"""pydantic models as structural schemas of apiextensions/v1 (API reference: CustomResourceDefinition).

A structural schema has no $ref, no nullable unions and no defaults of null; this module turns what pydantic writes
into that. It knows none of our kinds.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

# What pydantic writes and a structural schema has no use for.
_DROPPED = ("title", "$defs", "const")


def of(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, its nested models written out in place."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(whole, whole.get("$defs", {}))


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
    """The node with its reference replaced by what it names; what stands beside the reference wins."""
    reference = node.get("$ref")
    if reference is None:
        return node
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**definitions[reference.rsplit("/", 1)[1]], **beside}


def _without_null(node: Schema) -> Schema:
    """``X | None`` is an optional X: leaving a field out is how JSON of Kubernetes says null."""
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") != "null"]
    if not choices:
        return node
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    return {**choices[0], **beside}


def _with_plain_default(node: Schema) -> Schema:
    default = node.get("default")
    if isinstance(default, dict):
        default = {key: value for key, value in default.items() if value not in (None, [], {})}
    if default is None or default in ([], "", ()):
        return {key: value for key, value in node.items() if key != "default"}
    return {**node, "default": default}
