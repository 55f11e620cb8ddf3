"""What the evaluation of CEL rules may cost, as Kubernetes bounds it. Pure.

The evaluator counts nothing itself, and holds up the whole process while it runs. So the steps are estimated before:
the values of the object, and its longest list as often as comprehensions stand within each other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

RULE_LENGTH = 4096  # characters; the evaluator recurses over them, and a few ten thousand end the process
STEPS = 1_000_000  # for all rules of an object, about a second on a small box
EXCEEDED = "validation rules exceed the cost budget; make the lists shorter, or do not nest comprehensions over them"

_IGNORED = re.compile(r"""r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*'|//[^\n]*""")
_BRACKET = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|filter|map|sortBy|transform\w+)\s*(\()|[()]")


class Budget:
    """The steps that are left."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps

    def spend(self, rule: str, known: dict[str, Any]) -> None:
        """Raises ValueError when nothing is left."""
        values, longest = _measured(known, texts="split" in rule or "findAll" in rule)
        depth = _nesting(rule)
        self._left -= values + ((longest * (1 + rule.count("+"))) ** depth if depth else 0)
        if self._left < 0:
            raise ValueError(EXCEEDED)


def _measured(known: dict[str, Any], *, texts: bool) -> tuple[int, int]:
    """How many values there are, and the length of the longest list, object or text that a rule makes a list of."""
    count, longest, level = 0, 1, list(known.values())
    while level:
        count += len(level)
        sized = (dict, list, str) if texts else (dict, list)
        longest = max(longest, *(len(part) for part in level if isinstance(part, sized)), 1)
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, (dict, list))]
        level = [part for parts in inner for part in parts]
    return count, longest


@lru_cache(256)
def _nesting(rule: str) -> int:
    """How many comprehensions stand within each other."""
    opened: list[bool] = []
    deepest = 0
    for found in _BRACKET.finditer(_IGNORED.sub("''", rule)):
        if found[0] != ")":
            opened.append(bool(found[1]))
            deepest = max(deepest, sum(opened))
        elif opened:
            opened.pop()
    return deepest
