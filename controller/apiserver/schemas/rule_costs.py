"""What the evaluation of CEL rules may cost, as Kubernetes bounds it. Pure.

The evaluator counts nothing itself, and holds up the whole process while it runs. So what a rule does is estimated
before, from its shape (rule_shapes.py) and from what it sees; functions of our own are charged for what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver import bounds
from controller.apiserver.schemas.rule_shapes import Shape, shape_of

RULE_LENGTH = 4096  # characters; the evaluator recurses over them, and a few ten thousand end the process
STEPS = 1_000_000  # for all rules of an object, about a second on a small box
CHARACTERS = 256 << 20  # that all rules of an object compare or copy, at about a nanosecond each
CONVERTED = 4  # times as dear: a list that is handed to a function is in memory as a whole
EXCEEDED = "validation rules exceed the cost budget; make the lists shorter, or do not nest comprehensions over them"
TOO_LONG = "validation rules exceed the cost budget; make the texts or lists shorter, or do not join texts in the rules"


class Budget:
    """The steps, and the characters of texts, that are left."""

    def __init__(self, steps: int = STEPS, characters: int = CHARACTERS) -> None:
        self._steps = steps
        self._characters = characters

    def spend(self, rule: str, known: dict[str, Any]) -> None:
        """Raises ValueError when nothing is left."""
        shape = shape_of(rule)
        values, characters = bounds.measured(list(known.values()))
        longest, text = _longest(known, texts="split" in rule or "findAll" in rule)
        length = max(longest, shape.listed)
        self._steps -= values + (_rounds(shape, length) if shape.depth else 0)
        if self._steps < 0:
            raise ValueError(EXCEEDED)
        self._charge(characters + _copied(shape, length, characters, max(text, len(rule))))

    def metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged for what it is given and what it makes; it raises ValueError when nothing is left."""

        def metered(*given: Any) -> Any:
            self._charge(bounds.measured(list(given))[1])
            result = function(*given)
            self._charge(CONVERTED * bounds.measured(result)[1])
            return result

        return metered

    def _charge(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise ValueError(TOO_LONG)


def _copied(shape: Shape, length: int, characters: int, text: int) -> int:
    """Characters that a rule compares or copies at most; ``text`` is the length of the longest that it sees."""
    dearness = CONVERTED if shape.calls else 1
    if shape.joins or shape.growth > 1:
        # Each join of a row copies what those before it made.
        row = text * (1 + shape.joins) * (2 + shape.joins) // 2 * shape.growth
        return dearness * row * _rounds(shape, length)
    if shape.maps or (shape.calls and shape.listed):
        return dearness * text * int(length ** max(shape.depth, 1))
    if shape.depth:
        return int(length ** (shape.depth - 1)) * max(characters, shape.listed * text)
    return 0


def _rounds(shape: Shape, length: int) -> int:
    """How often the innermost part of a rule is evaluated at most; joins make lists longer too."""
    return int((length * max(1 + shape.joins, shape.growth)) ** shape.depth)


def _longest(known: dict[str, Any], *, texts: bool) -> tuple[int, int]:
    """The length of the longest list, object or text that a rule makes a list of, and that of the longest text."""
    longest, text = 1, 0
    for level in bounds.levels(list(known.values())):
        text = max(text, *(len(part) for part in level if isinstance(part, str)), 0)
        longest = max(longest, *(len(part) for part in level if isinstance(part, (dict, list))), 1)
    return max(longest, text) if texts else longest, text
