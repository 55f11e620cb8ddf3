"""How large an object may be: values within it and levels of nesting. Pure.

Bytes alone bound neither time nor memory: three megabytes of ``[],`` are a million lists, and every walk over objects
recurses once for each level.
"""

from __future__ import annotations

from typing import Any

VALUES = 50_000  # in a body; the largest definitions in use have some ten thousand
DEPTH = 128  # objects and lists within each other; CPython allows 1000 calls, and a walk makes up to three a level


class ExceededError(ValueError):
    """The object is too large or nested too deeply."""


def check(value: Any) -> int:
    """How many values it has. Raises ExceededError. Does not recurse."""
    level, count, depth = [value], 1, 0
    while level := [item for item in level if isinstance(item, (dict, list))]:
        count += sum(map(len, level))
        depth += 1
        check_figures(count, depth)
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return count


def check_figures(count: int, depth: int) -> None:
    """Raises ExceededError for an object with so many values and levels."""
    if count > VALUES:
        raise ExceededError(f"it has more than {VALUES} values; split it into smaller objects")
    if depth > DEPTH:
        raise ExceededError(f"it is nested more than {DEPTH} levels deep")
