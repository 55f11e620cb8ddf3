"""Sets of fields, as managed fields name them (API reference: FieldsV1; structured merge, KEP-555). Pure.

A field is a path of elements: ``f:name`` for a member, ``k:{...}`` for a list item by its keys, ``v:...`` for an item
of a set. What the schema calls atomic, and every list that it says nothing of, is one field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

# Metadata that belongs to the server, not to a manager.
SERVER_OWNED = frozenset(
    {"f:name", "f:generateName", "f:namespace", "f:uid", "f:resourceVersion", "f:generation", "f:creationTimestamp"}
    | {"f:deletionTimestamp", "f:deletionGracePeriodSeconds", "f:selfLink", "f:managedFields"}
)
METADATA: Object = {
    "type": "object",
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "type": "array",
            "items": {"type": "object"},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
        },
    },
}


class Container(Enum):
    """The value of a field that has fields of its own."""

    DECLARED = 1  # a property with something in it: an applier owns what is inside only
    ENTRY = 2  # an item of a list or a map, or an empty object: an applier owns that it is there


def of_object(item: Object, schema: Object | None) -> dict[Path, Any]:
    """Every field of an object that can have a manager, with its value."""
    body = {k: v for k, v in item.items() if k not in ("apiVersion", "kind")}
    found: dict[Path, Any] = {}
    _flatten(body, with_metadata(schema), (), found)
    return {path: value for path, value in found.items() if path and not _is_servers(path)}


def with_metadata(schema: Object | None) -> Object:
    """The schema of whole objects, metadata included."""
    schema = schema or {"type": "object"}
    return {**schema, "properties": {**schema.get("properties", {}), "metadata": METADATA}}


def of_applied(item: Object, schema: Object | None) -> frozenset[Path]:
    """The fields that who applies this object wants to own."""
    return frozenset(path for path, value in of_object(item, schema).items() if value is not Container.DECLARED)


def differing(old: Mapping[Path, Any], new: Mapping[Path, Any]) -> tuple[set[Path], set[Path]]:
    """The fields that were set anew or changed, and those that went."""
    set_ = {path for path, value in new.items() if path not in old or not _same(old[path], value)}
    return set_, old.keys() - new.keys()


def encode(fields: Iterable[Path]) -> Object:
    """As FieldsV1."""
    root: Object = {}
    for path in sorted(fields, key=len):
        node = root
        for element in path[:-1]:
            # A field that has fields below it is itself a member only with the mark ".".
            node = node.setdefault(element, {})
        node.setdefault(path[-1], {})
    members = set(fields)
    _mark(root, (), members)
    return root


def decode(node: Object, path: Path = ()) -> set[Path]:
    """From FieldsV1. Raises ValueError."""
    found: set[Path] = set()
    for element, below in node.items():
        if not isinstance(below, dict) or not _is_element(element):
            raise ValueError(f"{element} is no field")
        if element == ".":
            found.add(path)
        elif not below:
            found.add((*path, element))
        else:
            found |= decode(below, (*path, element))
    return found


def _is_element(text: str) -> bool:
    """Raises ValueError."""
    if text.startswith("k:"):
        return isinstance(json.loads(text[2:]), dict)
    return text == "." or text.startswith(("f:", "v:", "i:"))


def shown(path: Path) -> str:
    """As messages name a field: ``.spec.parts[name="a"].weight``."""
    return "".join(_shown_element(element) for element in path)


def child_schema(schema: Object, name: str) -> Object:
    """The schema of a member; empty where there is none."""
    declared = schema.get("properties", {}).get(name)
    extra = schema.get("additionalProperties")
    return declared or (extra if isinstance(extra, dict) else {})


def item_element(item: Any, schema: Object) -> str | None:
    """How a list item is named in a path, or None when the list is atomic for this item."""
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return "v:" + _json(item)
    if kind != "map" or not isinstance(item, dict):
        return None
    properties = schema.get("items", {}).get("properties", {})
    keys = {
        key: item.get(key, properties.get(key, {}).get("default"))
        for key in schema.get("x-kubernetes-list-map-keys", [])
    }
    return "k:" + _json({key: value for key, value in keys.items() if value is not None})


def is_granular(value: Any, schema: Object) -> bool:
    """Whether the fields of a value are owned one by one."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") != "atomic"
    return isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set")


def _flatten(value: Any, schema: Object, path: Path, found: dict[Path, Any], *, declared: bool = True) -> None:
    if not is_granular(value, schema):
        found[path] = value
        return
    found[path] = Container.DECLARED if declared and value else Container.ENTRY
    if isinstance(value, dict):
        for name, part in value.items():
            known = name in schema.get("properties", {})
            _flatten(part, child_schema(schema, name), (*path, f"f:{name}"), found, declared=known)
        return
    for item in value:
        element = item_element(item, schema)
        if element is not None:
            _flatten(item, schema.get("items", {}), (*path, element), found, declared=False)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Container) and isinstance(new, Container):
        return True
    return type(old) is type(new) and bool(old == new)


def _is_servers(path: Path) -> bool:
    return path[0] == "f:metadata" and (len(path) == 1 or path[1] in SERVER_OWNED)


def _mark(node: Object, path: Path, members: set[Path]) -> None:
    for element, below in list(node.items()):
        _mark(below, (*path, element), members)
    if node and path in members:
        node["."] = {}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _shown_element(element: str) -> str:
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    return "[" + ",".join(f"{key}={_json(value)}" for key, value in json.loads(text).items()) + "]"
