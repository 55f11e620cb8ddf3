"""One fault of a value, and the words in which Kubernetes tells of one. It finds no faults."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

NOWHERE = "<nil>"  # how Kubernetes writes the field of a fault that has none


SHOWN = 1000  # characters of a value


class Cause(NamedTuple):
    """One fault, as in ``details.causes`` of a Status."""

    reason: str  # FieldValueInvalid, FieldValueRequired, ...
    message: str
    field: str


def invalid(field: str, value: str | float | None, why: str) -> Cause:
    """Of a value that a rule forbids."""
    return Cause("FieldValueInvalid", f"Invalid value: {json.dumps(value, ensure_ascii=False)}: {why}", field)


def required(field: str, why: str = "") -> Cause:
    """Of a value that is not there."""
    return Cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def too_long(field: str, most: int) -> Cause:
    """Of a value of more than so many bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", field)


def kind_of(value: Any) -> str:
    """The type of a value as schemas name it."""
    found = {bool: "boolean", str: "string", dict: "object", list: "array", type(None): "null"}.get(type(value))
    return found or ("integer" if isinstance(value, int) else "number")


def quoted(value: Any) -> str:
    """A value as field errors show it."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= SHOWN else f'"{value[:SHOWN]}..."'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, (int, float)) else f'"{"array" if isinstance(value, list) else "object"}"'
