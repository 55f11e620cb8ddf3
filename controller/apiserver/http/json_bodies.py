"""Decode JSON bodies and report duplicate fields: the last one wins, and the client gets a warning.

Rejects what Kubernetes rejects: NaN, numbers out of range, invalid UTF-8, lone surrogates. Counts values and nesting in
the text, before building any object from it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from controller.apiserver import bounds

Object = dict[str, Any]

DUPLICATES = 100  # reported at most, as in Kubernetes
INT64 = range(-(1 << 63), 1 << 63)
INT_DIGITS = 20  # a longer number is no int64
# Possessive quantifiers keep the time linear; an unterminated string extends to the end of the body.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(rb"[^\[\]{}]+")


class Decoded(NamedTuple):
    """A decoded body and its duplicate fields, in Kubernetes' words."""

    object: Any
    duplicates: tuple[str, ...]


def of_json(raw: bytes) -> Decoded:
    """Decode JSON. Raises ValueError."""
    _check_bounds(raw)
    repeated: dict[int, tuple[Object, list[str]]] = {}  # by id; keeps the objects alive so that no id is reused

    def collect(pairs: list[tuple[str, Any]]) -> Object:
        found = dict(pairs)
        if len(found) != len(pairs):
            counted = Counter(name for name, _ in pairs)
            repeated[id(found)] = found, sorted(name for name, count in counted.items() if count > 1)
        return found

    # json.loads would guess the encoding of bytes, accept UTF-16 and let lone surrogates pass.
    text = raw.decode()
    item = json.loads(
        text, object_pairs_hook=collect, parse_int=integer, parse_float=number, parse_constant=_refuse_constant
    )
    # UTF-8 was checked above, so only an escape can produce a surrogate; other bodies are spared the cost.
    if "\\ud" in text.lower():
        json.dumps(item, ensure_ascii=False).encode()  # raises UnicodeError, a ValueError, for a lone surrogate
    reported = islice(_paths(item, repeated, ""), DUPLICATES) if repeated else ()
    return Decoded(item, tuple(f'duplicate field "{path}"' for path in reported))


def integer(text: str) -> int | float:
    """Parse a whole number as Kubernetes does: outside int64 it is a float. Raises ValueError."""
    # int() takes quadratic time for long texts, and refuses those of more than 4300 digits.
    value = int(text) if len(text) <= INT_DIGITS else None
    return value if value is not None and value in INT64 else number(text)


def number(text: str) -> float:
    """Parse a float. Raises ValueError for a number that JSON cannot represent."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:INT_DIGITS]} is out of range")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check_bounds(raw: bytes) -> None:
    """Raise bounds.ExceededError if the body has too many values or levels."""
    # Checked first because it is fastest: a value has at most a key and a string, which is four quotation marks.
    bounds.check_figures((raw.count(b'"') - raw.count(b'\\"')) // 4, 0)
    # Without its strings, in which commas and brackets mean nothing.
    bare = _STRING.sub(b"", raw)
    count = 1 + sum(map(bare.count, (b",", b"[", b"{")))
    bounds.check_figures(count, 0)
    depth = 0
    for bracket in _NO_BRACKETS.sub(b"", bare):
        depth += 1 if bracket in b"[{" else -1
        bounds.check_figures(count, depth)


def _paths(value: Any, repeated: dict[int, tuple[Object, list[str]]], path: str) -> Iterator[str]:
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        for name in repeated.get(id(value), (value, ()))[1]:
            yield prefix + name
        for name, part in value.items():
            yield from _paths(part, repeated, prefix + name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _paths(part, repeated, f"{path}[{index}]")
