"""Limits on a whole payload, checked before its contract: size, nesting, and only values that JSON can carry.

Iterates without recursion, so that deep nesting cannot exhaust the stack.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from controller.errors import Fault

MAX_DEPTH = 32
MAX_VALUES = 20_000
SMALL = 256 * 1024  # characters of text in a payload
LARGE = 8 * 1024 * 1024  # for payloads with files for a runtime


def fault_of(payload: Any, limit: int) -> Fault | None:
    """The first violation in ``payload``, or None. ``limit`` is the total number of characters of text."""
    characters = 0
    for count, (path, depth, value) in enumerate(_walk(payload)):
        characters += len(value) if isinstance(value, str) else 0
        if count > MAX_VALUES:
            return Fault("", f"must have at most {MAX_VALUES} values")
        if characters > limit:
            return Fault("", f"must have at most {limit // 1024} KiB of text")
        if depth > MAX_DEPTH:
            return Fault(path[:100], f"is nested deeper than {MAX_DEPTH} levels")
        if error := _unfit(value):
            return Fault(path[:100], error)
    return None


def _walk(payload: Any) -> Iterator[tuple[str, int, Any]]:
    """Every key and value with its path and depth, in the order of the document."""
    pending = [iter([("", 0, payload)])]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        yield entry
        path, depth, value = entry
        if depth <= MAX_DEPTH and isinstance(value, dict | list | tuple):
            # One entry at a time: a list of megabytes must be counted, not copied with a path for each value.
            pending.append(_inner(path, depth, value))


def _inner(
    path: str, depth: int, value: dict[Any, Any] | list[Any] | tuple[Any, ...]
) -> Iterator[tuple[str, int, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            # Keys carry text as well.
            yield path, depth, key
            yield f"{path}.{key}" if path else str(key), depth + 1, inner
    else:
        yield from ((f"{path}[{index}]", depth + 1, inner) for index, inner in enumerate(value))


def _unfit(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and value.bit_length() > 256:
        return "is too large a number"
    # JSON can escape a lone surrogate, which cannot be encoded later. isascii() is a flag, so most texts are not
    # encoded.
    if isinstance(value, str) and not value.isascii() and _has_surrogate(value):
        return "must be valid Unicode text"
    if isinstance(value, bytes | bytearray | memoryview):
        return "must not be binary: send base64 text"
    return ""


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
