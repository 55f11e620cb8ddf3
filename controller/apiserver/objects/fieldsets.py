"""Sets of fields in managed fields (API reference: FieldsV1; structured merge, KEP-555). Pure.

A field is a path of elements: ``f:name`` for a member, ``k:{...}`` for a list item by its keys, ``v:...`` for an item
of a set. A value that the schema marks as atomic is one field, and so is every list without a list type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from controller.apiserver.equality import identical
from controller.apiserver.kinds import core_schemas

Object = dict[str, Any]
Path = tuple[str, ...]

SHARED_SETS, SHARED_FIELDS = 128, 200  # sets whose encoding is kept, and the most fields of one

# Metadata that the server owns, not a manager.
SERVER_OWNED = frozenset(
    {"f:name", "f:generateName", "f:namespace", "f:uid", "f:resourceVersion", "f:generation", "f:creationTimestamp"}
    | {"f:deletionTimestamp", "f:deletionGracePeriodSeconds", "f:selfLink", "f:managedFields"}
)


class Container(Enum):
    """Marks a field that contains other fields."""

    DECLARED = 1  # a property with content: an applier owns only the content
    ENTRY = 2  # an item of a list or a map, or an empty object: an applier owns its existence


def of_object(item: Object, schema: Object | None) -> dict[Path, Any]:
    """Every field of an object that a manager can own, with its value."""
    body = {k: v for k, v in item.items() if k not in ("apiVersion", "kind")}
    found: dict[Path, Any] = {}
    _flatten(body, with_metadata(schema), (), found)
    return {path: value for path, value in found.items() if path and not _is_server_owned(path)}


def with_metadata(schema: Object | None) -> Object:
    """The schema of the whole object, including metadata."""
    schema = schema or {"type": "object"}
    return {**schema, "properties": {**schema.get("properties", {}), "metadata": core_schemas.metadata(merged=True)}}


def of_applied(item: Object, schema: Object | None) -> frozenset[Path]:
    """The fields that an applied configuration claims."""
    # As in Kubernetes: owning ``spec`` itself would keep an empty one after everything in it was given up.
    return frozenset(path for path, value in of_object(item, schema).items() if value is not Container.DECLARED)


def compare(old: Mapping[Path, Any], new: Mapping[Path, Any]) -> tuple[set[Path], set[Path]]:
    """The fields that were added or changed, and those that were removed."""
    set_ = {path for path, value in new.items() if path not in old or not _equal(old[path], value)}
    return set_, old.keys() - new.keys()


def encode(fields: frozenset[Path]) -> Object:
    """Encode a set of fields as FieldsV1; the result may be shared and must not be changed.

    Most objects of a kind have the same fields, whose encoding takes more memory than the rest of an object.
    """
    return _shared(fields) if len(fields) <= SHARED_FIELDS else _encode(fields)


def _encode(fields: frozenset[Path]) -> Object:
    root: Object = {}
    # Shortest first, so that a field exists before the fields that it contains.
    for path in sorted(fields, key=len):
        node = root
        for element in path[:-1]:
            # A field that contains other fields belongs to the set itself only with the mark ".".
            node = node.setdefault(element, {})
        node.setdefault(path[-1], {})
    _mark(root, (), fields)
    return root


_shared = lru_cache(SHARED_SETS)(_encode)


def decode(node: Object, path: Path = ()) -> set[Path]:
    """Decode FieldsV1. Raises ValueError."""
    found: set[Path] = set()
    for element, below in node.items():
        if not isinstance(below, dict) or not _is_element(element):
            raise ValueError(f"{element} is not a field")
        if element == ".":
            found |= {path} if path else set()
        # An element without content is a field of the set; one with content
        # is only on the way to others unless it has ".".
        elif not below:
            found.add((*path, element))
        else:
            found |= decode(below, (*path, element))
    return found


def _is_element(text: str) -> bool:
    """Raises ValueError."""
    if text.startswith("k:"):
        try:
            return isinstance(json.loads(text[2:]), dict)
        # A client writes managedFields: a key of 100,000 brackets is a malformed entry, not an error of the server.
        except RecursionError as error:
            raise ValueError("the keys of an item nest too deeply") from error
    return text == "." or text.startswith(("f:", "v:", "i:"))


def shown(path: Path) -> str:
    """A field as messages name it: ``.spec.parts[name="a"].weight``."""
    return "".join(_shown_element(element) for element in path)


def child_schema(schema: Object, name: str) -> Object:
    """The schema of a member; empty when there is none."""
    declared = schema.get("properties", {}).get(name)
    extra = schema.get("additionalProperties")
    return declared or (extra if isinstance(extra, dict) else {})


def item_element(item: Any, schema: Object) -> str | None:
    """The path element of a list item, or None when the item is not owned individually."""
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return "v:" + _json(item)
    if kind != "map" or not isinstance(item, dict):
        return None
    # The defaults of keys count: the stored item has them, and both must have the same element.
    properties = schema.get("items", {}).get("properties", {})
    keys = {
        key: item.get(key, properties.get(key, {}).get("default"))
        for key in schema.get("x-kubernetes-list-map-keys", [])
    }
    return "k:" + _json({key: value for key, value in keys.items() if value is not None})


def is_granular(value: Any, schema: Object) -> bool:
    """Whether the fields of a value are owned individually."""
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


def _equal(old: Any, new: Any) -> bool:
    # DECLARED becomes ENTRY when a map loses its content; what it contains is compared by itself.
    if isinstance(old, Container) and isinstance(new, Container):
        return True
    return identical(old, new)


def _is_server_owned(path: Path) -> bool:
    return path[0] == "f:metadata" and (len(path) == 1 or path[1] in SERVER_OWNED)


def _mark(node: Object, path: Path, members: frozenset[Path]) -> None:
    for element, below in list(node.items()):
        _mark(below, (*path, element), members)
    if node and path in members:
        node["."] = {}


def _json(value: Any) -> str:
    # Kubernetes' spelling: elements are compared as text, also with those that other API servers wrote.
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _shown_element(element: str) -> str:
    kind, _, text = element.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    return "[" + ",".join(f"{key}={_json(value)}" for key, value in json.loads(text).items()) + "]"
