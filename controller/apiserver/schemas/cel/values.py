"""Value types of JSON, CEL and Kubernetes: their comparison and their conversion to strings."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import SplitResult

from controller.apiserver.schemas.cel.failures import EvaluationError

INTEGERS = range(-(1 << 63), 1 << 63)
UNSIGNED = range(1 << 64)


class Uint(int):
    """An unsigned integer."""


@dataclass(frozen=True)
class Type:
    """A CEL type, identified by its name."""

    name: str


@dataclass(frozen=True)
class Optional:
    """A value that may be absent: ``found`` contains it or is empty."""

    found: tuple[Any, ...] = ()


class Keyed(list[Any]):
    """A list without a meaningful order (x-kubernetes-list-type: set, map)."""


class Quantity(Decimal):
    """A Kubernetes quantity, such as 100Mi."""


class Url(NamedTuple):
    """A URL."""

    text: str
    parts: SplitResult


class Format(NamedTuple):
    """A named format that strings can be validated against."""

    name: str


class Semver(NamedTuple):
    """A semantic version; comparisons ignore build metadata."""

    release: tuple[int, int, int]
    final: bool  # sorts a release after its pre-releases
    labels: tuple[tuple[bool, int | str], ...]


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface

NUMBERS = (int, Uint, float)
_NAMES: dict[type, str] = {
    bool: "bool", int: "int", Uint: "uint", float: "double", str: "string", bytes: "bytes", list: "list", Keyed: "list",
    dict: "map",
    type(None): "null_type", Type: "type", Optional: "optional_type", datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration", Quantity: "kubernetes.Quantity", Url: "kubernetes.URL",
    Format: "kubernetes.NamedFormat", Semver: "kubernetes.Semver",
    ipaddress.IPv4Address: "net.IP", ipaddress.IPv6Address: "net.IP",
    ipaddress.IPv4Interface: "net.CIDR", ipaddress.IPv6Interface: "net.CIDR",
}  # fmt: skip
TYPES = {name: Type(name) for name in _NAMES.values()}


def type_of(value: Any) -> Type:
    """The result of ``type(value)``."""
    return TYPES[_NAMES[type(value)]]


def size_of(value: Any) -> int:
    """The size that cost is charged for: the characters of a string, the items of a list or map."""
    return len(value) if isinstance(value, (str, bytes, list, dict)) else 1


def before(left: Any, right: Any) -> bool:
    """Whether ``left < right``. Raises EvaluationError."""
    # By exact type: bool is an int to isinstance, and CEL does not order numbers with booleans.
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bool(left < right)
    if type(left) is type(right) and type(left) in (str, bytes, bool, datetime, timedelta):
        return bool(left < right)
    raise no_overload("<", left, right)


def no_overload(what: str, *values: Any) -> EvaluationError:
    """The error for a function or an operator that does not accept these types."""
    return EvaluationError(f"no such overload: {what}({', '.join(type_of(value).name for value in values)})")


def text_of(value: Any) -> str:
    """The result of ``string(value)``. Raises EvaluationError."""
    match value:
        case bytes():
            return _decoded(value)
        case bool() | float() | datetime() | timedelta():
            return _WRITERS[type(value)](value)
        case (
            str()
            | int()
            | ipaddress.IPv4Address()
            | ipaddress.IPv6Address()
            | ipaddress.IPv4Interface()
            | (ipaddress.IPv6Interface())
        ):
            return str(value)
    raise no_overload("string", value)


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from error


def _timestamp(value: datetime) -> str:
    whole, point, digits = value.astimezone(UTC).replace(tzinfo=None).isoformat().partition(".")
    return f"{whole}{(point + digits).rstrip('0')}Z"


def _double(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    # Go writes integers below 1e21 without an exponent.
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    # Go writes at least two digits of the exponent.
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", repr(value))


_WRITERS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: _double,
    datetime: _timestamp,
    timedelta: lambda value: _double(value.total_seconds()) + "s",
}


def shown(value: Any) -> str:
    """A value as ``%s`` formats it."""
    match value:
        case None:
            return "null"
        case list():
            return "[" + ", ".join(map(_shown_within, value)) + "]"
        case dict():
            parts = (f"{_shown_within(name)}:{_shown_within(part)}" for name, part in value.items())
            # Sorted: a message must not depend on the order in which a client wrote the fields.
            return "{" + ", ".join(sorted(parts)) + "}"
        case Type():
            return value.name
    return text_of(value)


_FORMS: dict[type, str] = {
    str: '"{}"',
    bytes: 'b"{}"',
    timedelta: 'duration("{}")',
    datetime: 'timestamp("{}")',
}


def _shown_within(value: Any) -> str:
    """A value within a list or a map, as ``%s`` formats it."""
    return _FORMS.get(type(value), "{}").format(shown(value))


def quoted(text: str) -> str:
    """The result of ``strings.quote(text)``."""
    return json.dumps(text, ensure_ascii=False)
