"""Validates strings against a schema: lengths, patterns, formats. Pure.

Patterns are matched by RE2, as in Kubernetes, so that matching takes linear time whatever the pattern.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import re2

Schema = dict[str, Any]

PATTERN_BYTES = 1 << 20  # memory limit of a compiled pattern


class Fault(NamedTuple):
    """A fault of a string: the reason, and the text after "in body"."""

    reason: str
    text: str


def faults(value: str, schema: Schema) -> Iterator[Fault]:
    """The faults of a string: the first of length and pattern, as in Kubernetes, then that of its format."""
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if longest is not None and len(value) > longest:
        yield Fault("FieldValueTooLong", f"may not be more than {longest} bytes")
    elif shortest is not None and len(value) < shortest:
        yield Fault("FieldValueInvalid", f"should be at least {shortest} chars long")
    elif (pattern := schema.get("pattern")) and not matches(pattern, value):
        yield Fault("FieldValueInvalid", f"should match '{pattern}'")
    form = schema.get("format", "")
    if not _is(form.replace("-", ""), value):  # as Kubernetes looks it up: date-time is datetime
        yield Fault("FieldValueTypeInvalid", f"must be of type {form}")


def matches(pattern: str, value: str) -> bool:
    """Whether the pattern matches somewhere in the value.

    A pattern that does not compile (stored by an older version) matches everything.
    """
    # Not enforced rather than refused: otherwise no object of that definition could be written.
    return bool(pattern_fault(pattern)) or compiled(pattern).search(value) is not None


def pattern_fault(pattern: str) -> str:
    """Why a pattern does not compile; "" when it does."""
    try:
        compiled(pattern)
    except re2.error as error:
        # google-re2 passes the C++ message as bytes.
        return error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    return ""


# Compiling costs far more than matching, and one definition uses the same patterns for every object.
@lru_cache(128)
def compiled(pattern: str) -> Any:
    """The compiled pattern, cached. Raises re2.error."""
    options = re2.Options()
    # RE2 would write invalid patterns of clients to stderr, past the log.
    options.log_errors = False
    options.max_mem = PATTERN_BYTES
    return re2.compile(pattern, options)


def _is(form: str, value: str) -> bool:
    """Whether the value has this format; an unknown one is ignored, as in Kubernetes."""
    if form not in FORMATS:
        return True
    try:
        return FORMATS[form](value) is not None
    except ValueError:
        return False


# The fromisoformat() of Python is wider than RFC 3339: it also accepts weeks, and dates and times without separators.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(rf"{_DATE.pattern}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]+)?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})")


def _date(value: str) -> date | None:
    return date.fromisoformat(value) if _DATE.fullmatch(value) else None


def _time(value: str) -> datetime | None:
    return datetime.fromisoformat(value.upper()) if _TIME.fullmatch(value) else None


def _uuid(version: str, variant: str = "[0-9a-f]") -> Callable[[str], object]:
    # Python's UUID() also accepts braces, a prefix and dashes in any place.
    digits = f"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}"
    return re.compile(digits, re.IGNORECASE).fullmatch


FORMATS: dict[str, Callable[[str], object]] = {
    "datetime": _time,
    "date": _date,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "cidr": lambda value: ipaddress.ip_network(value, strict=False) if "/" in value else None,
    "byte": lambda value: base64.b64decode(value, validate=True),
    "mac": re.compile(r"[0-9a-fA-F]{2}(([:-])[0-9a-fA-F]{2})(\2[0-9a-fA-F]{2}){4}").fullmatch,
    "email": re.compile(r"[^@\s]+@[^@\s]+").fullmatch,
    "uri": re.compile(r"(/|[A-Za-z][A-Za-z0-9+.-]*:)\S*").fullmatch,
    "duration": re.compile(r"([+-]?\d+(\.\d+)?\s*(ns|us|µs|ms|s|m|h|d|w|[a-z]{3,})\s*)+|0").fullmatch,
    "uuid": _uuid("[0-9a-f]"),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
}
