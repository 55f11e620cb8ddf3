"""Merge patches (RFC 7396) and JSON patches (RFC 6902, by the jsonpatch package) within Kubernetes' limits."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch

from controller.apiserver import bounds
from controller.apiserver.equality import identical

Object = dict[str, Any]

OPERATIONS = 10_000
MESSAGE_LIMIT = 500  # longest error message in characters
COPIED_BYTES = 3 << 20  # limit of the JSON that all copies of a patch may add together


class PatchError(ValueError):
    """The patch cannot be applied."""


class MalformedPatchError(PatchError):
    """The body is not a valid patch."""


class TooManyOperationsError(PatchError):
    """The patch has too many operations."""


def merge(target: Any, patch: Any) -> Any:
    """Apply a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            # Also into a missing member: nulls within a new value are removed as well (RFC 7396, 2).
            result[name] = merge(result.get(name), value)
    return result


def apply_json(target: Any, operations: Any) -> Any:
    """Apply a JSON patch (RFC 6902). Raises PatchError."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise MalformedPatchError("a JSON patch must be a list of operations")
    if not all(isinstance(operation.get("path", ""), str) for operation in operations):
        raise MalformedPatchError("the path of an operation must be a string")
    if len(operations) > OPERATIONS:
        raise TooManyOperationsError(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS}, got {len(operations)}"
        )
    # One copy for all operations, which then work in place: a copy for each would take quadratic time.
    document, budget = copy.deepcopy(target), _CopyBudget()
    for operation in operations:
        document = _operate(document, operation, budget)
    return document


class _CopyBudget:
    """The remaining size that copies may add to the document."""

    def __init__(self) -> None:
        self._bytes = self._values = 0

    def take(self, value: Any) -> None:
        """Raises bounds.ExceededError."""
        # Only ``copy`` multiplies: thirty copies of the document into itself would make gigabytes of a small patch.
        self._values += bounds.check(value)
        self._bytes += len(json.dumps(value))
        bounds.check_figures(self._values, 0)
        if self._bytes > COPIED_BYTES:
            raise bounds.ExceededError(f"the copies of the patch exceed {COPIED_BYTES} bytes")


def _operate(document: Any, operation: Object, budget: _CopyBudget) -> Any:
    """Apply one operation. Changes the document in place unless the operation replaces its root."""
    try:
        kind = operation.get("op")
        if kind == "copy":
            budget.take(_pointer(operation, "from").resolve(document))
        elif kind == "test" and "value" in operation:
            return _tested(document, operation)
        elif kind == "replace" and isinstance(_parent(document, operation), dict):
            operation = {**operation, "op": "add"}  # in an object, Kubernetes also replaces a missing member
        return jsonpatch.apply_patch(document, [operation], in_place=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, bounds.ExceededError) as error:
        raise PatchError(f"{operation.get('op')} {operation.get('path')}: {error}"[:MESSAGE_LIMIT]) from error
    # jsonpatch does not check the types that it meets, and its walks recurse.
    except (TypeError, RecursionError) as error:
        raise PatchError("the operation is malformed or nests too deeply") from error


def _tested(document: Any, operation: Object) -> Any:
    """The document, if the test holds. Not by jsonpatch: in Python 1 equals true. Raises as ``_parent``."""
    if not identical(_pointer(operation, "path").resolve(document), operation["value"]):
        raise PatchError(f"testing value {operation['path']} failed: test failed")
    return document


def _parent(document: Any, operation: Object) -> Any:
    """The parent of the target; None for the document itself. Raises PatchError and JsonPointerException."""
    pointer = _pointer(operation, "path")
    return pointer.to_last(document)[0] if pointer.parts else None


def _pointer(operation: Object, field: str) -> jsonpatch.JsonPointer:
    """The pointer in a field of the operation. Raises PatchError and JsonPointerException."""
    path = operation.get(field)
    if not isinstance(path, str):
        raise PatchError(f"{operation.get('op')} has no {field}")
    return jsonpatch.JsonPointer(path)
