"""Checks whether a newer structural schema accepts everything an older one did; CEL rules are not compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]


def schema(version: Node) -> Node:
    """The schema of one version of a CustomResourceDefinition."""
    found: Node = version["schema"]["openAPIV3Schema"]
    return found


def narrowings(path: str, old: Node, new: Node) -> Iterator[str]:
    """One line for each thing that is valid under the old schema but not under the new one."""
    if old.get("type") != new.get("type"):
        yield f"{path}: type is {new.get('type')}, was {old.get('type')}"
    yield from (
        f"{path}: {name} is required now" for name in set(new.get("required", ())) - set(old.get("required", ()))
    )
    if "enum" in new:
        yield from (f"{path}: {value} is no longer allowed" for value in set(old.get("enum", ())) - set(new["enum"]))
    yield from _bounds(path, old, new)
    for name, part in old.get("properties", {}).items():
        below = f"{path}.{name}"
        if name not in new.get("properties", {}):
            yield f"{below} is gone"
        else:
            yield from narrowings(below, part, new["properties"][name])
    if "items" in old:
        yield from narrowings(f"{path}[]", old["items"], new.get("items", {}))


def _bounds(path: str, old: Node, new: Node) -> Iterator[str]:
    for keys, worse in ((("maxLength", "maxItems", "maximum"), -1), (("minLength", "minItems", "minimum"), 1)):
        for key in keys:
            if key in new and (key not in old or (new[key] - old[key]) * worse > 0):
                yield f"{path}: {key} is {new[key]}, was {old.get(key)}"
