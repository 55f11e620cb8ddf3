"""Causes of a refused object, worded as Kubernetes words them. This module only formats; it validates nothing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

NO_FIELD = "<nil>"  # what Kubernetes writes for the field of a cause without one

QUOTED_LENGTH = 1000  # longest value quoted in a message, in characters


class Cause(NamedTuple):
    """One entry of ``details.causes`` in a Status."""

    reason: str  # FieldValueInvalid, FieldValueRequired, ...
    message: str
    field: str


def invalid(field: str, value: str | float | None, why: str) -> Cause:
    """The cause for a value that violates a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {why}", field)


def required(field: str, why: str = "") -> Cause:
    """The cause for a missing value."""
    return Cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def too_long(field: str, most: int) -> Cause:
    """The cause for a value of more than ``most`` bytes."""
    # Without the value, as in Kubernetes: it may have megabytes.
    return Cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", field)


def kind_of(value: Any) -> str:
    """The JSON schema type of a value."""
    # By exact type, because bool is a subclass of int.
    found = {bool: "boolean", str: "string", dict: "object", list: "array", type(None): "null"}.get(type(value))
    return found or ("integer" if isinstance(value, int) else "number")


def quoted(value: Any) -> str:
    """A value as field errors print it."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= QUOTED_LENGTH else f'"{value[:QUOTED_LENGTH]}..."'
    # Go's spelling, not Python's: the messages are compared with those of Kubernetes.
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, (int, float)) else f'"{"array" if isinstance(value, list) else "object"}"'
