"""JSON and YAML bodies, with the fields that were given twice: the last one counts, and the client is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

Object = dict[str, Any]


class Decoded(NamedTuple):
    """A body, and its duplicate fields in Kubernetes' words."""

    object: Any
    duplicates: tuple[str, ...]


def of_json(raw: bytes) -> Decoded:
    """Raises ValueError."""
    repeated: dict[int, list[str]] = {}

    def collect(pairs: list[tuple[str, Any]]) -> Object:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            repeated[id(found)] = sorted({name for name in names if names.count(name) > 1})
        return found

    item = json.loads(raw, object_pairs_hook=collect)
    if not repeated:
        return Decoded(item, ())
    return Decoded(item, tuple(f'duplicate field "{path}"' for path in _paths(item, repeated, "")))


def _paths(value: Any, repeated: dict[int, list[str]], path: str) -> Iterator[str]:
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        for name in repeated.get(id(value), ()):
            yield prefix + name
        for name, part in value.items():
            yield from _paths(part, repeated, prefix + name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _paths(part, repeated, f"{path}[{index}]")


class _Loader(yaml.CSafeLoader):
    """Notes the keys that a mapping has twice."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.duplicates: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                self.duplicates.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def of_yaml(raw: bytes) -> Decoded:
    """JSON is YAML too, and much quicker to read. Raises ValueError and yaml.YAMLError."""
    if raw.lstrip().startswith(b"{"):
        return of_json(raw)
    loader = _Loader(raw)
    try:
        return Decoded(loader.get_single_data(), tuple(loader.duplicates))
    finally:
        loader.dispose()
