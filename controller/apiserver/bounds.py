"""How large an object may be: values and characters within it, and levels of nesting. Pure.

Bytes alone bound neither time nor memory: three megabytes of ``[],`` are a million lists, and every walk over objects
recurses once for each level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

VALUES = 50_000  # in a body; the largest definitions in use have some ten thousand
DEPTH = 128  # objects and lists within each other; CPython allows 1000 calls, and a walk makes up to three a level
CHARACTERS = 3 << 20  # of keys and texts; as many as the bytes of a request
# Work on more takes milliseconds, which an event loop does not have.
LARGE_VALUES, LARGE_CHARACTERS = 1000, 256 << 10


class ExceededError(ValueError):
    """The object is too large or nested too deeply."""


class Budget:
    """What may still be added to an object; taking never raises, as a stored object may be of any size."""

    def __init__(self, value: Any) -> None:
        self._values, self._characters = VALUES, CHARACTERS
        self.exceeded = False
        self.take(value)

    def take(self, value: Any) -> bool:
        """Count a value that is added; False when it does not fit, and from then on."""
        if not self.exceeded:
            values, characters = measured(value)
            self._values -= values
            self._characters -= characters
            self.exceeded = self._values < 0 or self._characters < 0
        return not self.exceeded

    def check(self) -> None:
        """Raises ExceededError when something did not fit."""
        if self.exceeded:
            raise ExceededError(
                f"with its defaults it has more than {VALUES} values or {CHARACTERS} characters; "
                "split it into smaller objects"
            )


def levels(values: list[Any]) -> Iterator[list[Any]]:
    """The values, then what they hold, and so on. Does not recurse."""
    while values:
        yield values
        inner = [item.values() if isinstance(item, dict) else item for item in values if isinstance(item, (dict, list))]
        values = [part for parts in inner for part in parts]


def measured(value: Any) -> tuple[int, int]:
    """How many values there are, and characters of all keys and texts."""
    values, characters = 0, 0
    for level in levels([value]):
        values += len(level)
        characters += sum(len(item) for item in level if isinstance(item, str))
        characters += sum(len(name) for item in level if isinstance(item, dict) for name in item)
    return values, characters


def are_large(values: Collection[Any]) -> bool:
    """Whether work on them all must not be done in an event loop. Looks no further than it has to."""
    count, characters = len(values), 0
    for level in levels(list(values)):
        count += sum(len(item) for item in level if isinstance(item, (dict, list)))
        characters += sum(len(item) for item in level if isinstance(item, str))
        if count > LARGE_VALUES or characters > LARGE_CHARACTERS:
            return True
    return False


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
