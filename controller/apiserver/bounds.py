"""Limits on the size of an object: number of values, number of characters, levels of nesting. Pure.

A limit on bytes bounds neither time nor memory: three megabytes of ``[],`` are a million lists, and code that walks
an object recurses once per level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from controller.apiserver.texts import LARGE, Stored

VALUES = 50_000  # per body; the largest CRDs in use have about ten thousand
DEPTH = 128  # nested objects and lists; CPython allows 1000 nested calls, and a walk makes up to three per level
CHARACTERS = 3 << 20  # in keys and strings; same as the limit on the bytes of a request
# Processing more than this takes milliseconds, which would block the event loop.
LARGE_VALUES, LARGE_CHARACTERS = 1000, 256 << 10
LARGE_KEPT = LARGE >> 2  # characters and bytes of texts, of which most are compressed


class ExceededError(ValueError):
    """The object is too large or nested too deeply."""


class Budget:
    """How much may still be added to an object. ``take`` never raises, since a stored object may have any size."""

    def __init__(self, value: Any) -> None:
        self._values, self._characters = VALUES, CHARACTERS
        self.exceeded = False
        self.take(value)

    def take(self, value: Any) -> bool:
        """Count an added value. Returns False once the budget is exceeded."""
        if not self.exceeded:
            values, characters = measured(value)
            self._values -= values
            self._characters -= characters
            self.exceeded = self._values < 0 or self._characters < 0
        return not self.exceeded

    def check(self) -> None:
        """Raise ExceededError if the budget was exceeded."""
        if self.exceeded:
            raise ExceededError(
                f"with its defaults it exceeds {VALUES} values or {CHARACTERS} characters; "
                "split it into smaller objects"
            )


def levels(values: Collection[Any]) -> Iterator[Collection[Any]]:
    """Yield the values, then what objects and lists among them contain, and so on. Does not recurse."""
    yield values
    while holders := [value for value in values if isinstance(value, (dict, list))]:
        values = [part for held in holders for part in (held.values() if isinstance(held, dict) else held)]
        yield values


def measured(value: Any) -> tuple[int, int]:
    """Return the number of values and the number of characters in all keys and strings."""
    values, characters = 0, 0
    for level in levels([value]):
        values += len(level)
        characters += _characters(level)
        characters += sum(len(name) for item in level if isinstance(item, dict) for name in item)
    return values, characters


def is_large(item: Any) -> bool:
    """Whether processing an object would block the event loop for too long."""
    return len(item.text) > LARGE if isinstance(item, Stored) else are_large([item])


def are_large(values: Collection[Any]) -> bool:
    """Whether processing all of them would block the event loop for too long. Stops counting once that is clear."""
    count, characters = 0, 0
    for level in levels(values):
        count += len(level)
        characters += _characters(level)
        if count > LARGE_VALUES or characters > LARGE_CHARACTERS:
            return True
    return False


def check(value: Any) -> int:
    """Return the number of values. Raises ExceededError. Does not recurse."""
    count = 0
    for depth, level in enumerate(levels([value])):
        count += len(level)
        check_figures(count, depth)
    return count


def _characters(level: Collection[Any]) -> int:
    return sum(map(len, [item for item in level if isinstance(item, str)]))


def check_figures(count: int, depth: int) -> None:
    """Raise ExceededError if an object with this many values and levels is too large."""
    if count > VALUES:
        raise ExceededError(f"it has more than {VALUES} values; split it into smaller objects")
    if depth > DEPTH:
        raise ExceededError(f"it is nested more than {DEPTH} levels deep")
