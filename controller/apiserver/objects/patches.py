"""The patch formats: merge (RFC 7396), JSON (RFC 6902) and, for the core kinds, a plain strategic merge."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]


class PatchError(ValueError):
    """The patch cannot be applied."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def apply_json(target: Object, operations: list[Object]) -> Object:
    """RFC 6902."""
    result = copy.deepcopy(target)
    for operation in operations:
        result = _operate(result, operation)
    return result


def _operate(document: Any, operation: Object) -> Any:
    try:
        kind, path = operation["op"], _pointer(operation["path"])
    except (KeyError, TypeError) as error:
        raise PatchError(f"invalid JSON patch operation: {operation}") from error
    if kind == "test":
        if _read(document, path) != operation.get("value"):
            raise PatchError(f"testing value {operation['path']} failed: test failed")
        return document
    if kind in ("move", "copy"):
        source = _pointer(operation["from"])
        value = copy.deepcopy(_read(document, source))
        if kind == "move":
            document = _remove(document, source)
        return _write(document, path, value, insert=True)
    if kind == "remove":
        return _remove(document, path)
    if kind in ("add", "replace"):
        if kind == "replace" and isinstance(_read(document, path[:-1]), list):
            _read(document, path)  # of a map, Kubernetes replaces also what is not there
        return _write(document, path, copy.deepcopy(operation.get("value")), insert=kind == "add")
    raise PatchError(f"Unexpected kind: {kind}")


def _pointer(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise PatchError(f"invalid path: {path}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _read(document: Any, path: list[str]) -> Any:
    for part in path:
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PatchError(f"the path /{'/'.join(path)} does not exist: missing value") from error
    return document


def _write(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _read(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else _index(last, len(parent))
        if insert:
            parent.insert(index, value)
        else:
            parent[index] = value
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise PatchError(f"the path /{'/'.join(path)} does not exist")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent, last = _read(document, path[:-1]), path[-1]
    _read(document, path)
    del parent[int(last) if isinstance(parent, list) else last]
    return document


def _index(text: str, size: int) -> int:
    if not text.isdigit() or int(text) > size:
        raise PatchError(f"invalid array index {text}")
    return int(text)
