"""The patch formats: merge (RFC 7396), and JSON (RFC 6902, by the jsonpatch package) within Kubernetes' bounds."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch

from controller.apiserver import bounds

Object = dict[str, Any]

OPERATIONS = 10_000
MESSAGE_LIMIT = 500  # characters of what is wrong
COPIED_BYTES = 3 << 20  # as JSON, by all operations of a patch together


class PatchError(ValueError):
    """The patch cannot be applied."""


class MalformedPatchError(PatchError):
    """It is no patch."""


class TooManyOperationsError(PatchError):
    """The patch is too long."""


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


def apply_json(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises PatchError."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise MalformedPatchError("a JSON patch is a list of operations")
    if not all(isinstance(operation.get("path", ""), str) for operation in operations):
        raise MalformedPatchError("the path of an operation is a text")
    if len(operations) > OPERATIONS:
        raise TooManyOperationsError(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS}, got {len(operations)}"
        )
    document, room = copy.deepcopy(target), _Room()
    for operation in operations:
        document = _operate(document, operation, room)
    return document


class _Room:
    """What copies may still add to the document."""

    def __init__(self) -> None:
        self._bytes = self._values = 0

    def take(self, value: Any) -> None:
        """Raises bounds.ExceededError."""
        self._values += bounds.check(value)
        self._bytes += len(json.dumps(value))
        bounds.check_figures(self._values, 0)
        if self._bytes > COPIED_BYTES:
            raise bounds.ExceededError(f"its copies have more than {COPIED_BYTES} bytes")


def _operate(document: Any, operation: Object, room: _Room) -> Any:
    """The document, changed in place where it can be."""
    try:
        kind = operation.get("op")
        if kind == "copy":
            room.take(_pointer(operation, "from").resolve(document))
        elif kind == "replace" and isinstance(_parent(document, operation), dict):
            operation = {**operation, "op": "add"}  # of an object, Kubernetes replaces also what is not there
        return jsonpatch.apply_patch(document, [operation], in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise PatchError(f"testing value {operation['path']} failed: test failed") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, bounds.ExceededError) as error:
        raise PatchError(f"{operation.get('op')} {operation.get('path')}: {error}"[:MESSAGE_LIMIT]) from error
    except (TypeError, RecursionError) as error:
        raise PatchError("the operation is malformed, or leads too deep") from error


def _parent(document: Any, operation: Object) -> Any:
    """What holds the target; None for the document itself. Raises PatchError and JsonPointerException."""
    pointer = _pointer(operation, "path")
    return pointer.to_last(document)[0] if pointer.parts else None


def _pointer(operation: Object, field: str) -> jsonpatch.JsonPointer:
    """Raises PatchError and JsonPointerException."""
    path = operation.get(field)
    if not isinstance(path, str):
        raise PatchError(f"{operation.get('op')} has no {field}")
    return jsonpatch.JsonPointer(path)
