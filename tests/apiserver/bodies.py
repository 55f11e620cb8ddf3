"""Hypothesis strategies: any JSON value, and objects with some parts replaced by one; and how requests are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import strategies as st

from controller.apiserver import failures

T = TypeVar("T")
Steps = tuple[str | int, ...]

TEXTS = st.sampled_from(["", "a", "0", "-1", "x" * 70, "a/b", "2026-01-01T00:00:00Z", "²", "k:{}", "v:1", "f:a", "."])
NAMES = TEXTS | st.sampled_from(["name", "metadata", "spec", "data", "count", "fieldsV1", "$patch", "uid", "type"])
LEAVES = st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


def paths(value: Any, here: Steps = ()) -> Iterator[Steps]:
    """The path of every part of an object."""
    yield here
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from paths(part, (*here, name))


def put(item: Any, path: Steps, value: Any) -> Any:
    """The object with another value at a path."""
    if not path:
        return value
    item = copy.copy(item)
    item[path[0]] = put(item[path[0]], path[1:], value)
    return item


@st.composite
def mutated(draw: st.DrawFn, item: dict[str, Any], values: st.SearchStrategy[Any] = VALUES) -> Any:
    """An object with one or two parts replaced."""
    found: Any = item
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(paths(found))))
        found = put(found, path, draw(values))
    return found


def unless_refused(work: Callable[[], T]) -> T | None:
    """The result of the work; None if it is refused as the client's mistake."""
    try:
        return work()
    except failures.Failure as failure:
        if not 400 <= failure.code < 500:
            raise
        return None
