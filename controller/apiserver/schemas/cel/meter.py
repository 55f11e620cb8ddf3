"""Counts the cost of an evaluation in Kubernetes' units (cel-go: interpreter/runtimecost.go) and limits it."""

from __future__ import annotations

from typing import Any

from controller.apiserver.schemas.cel.failures import CostError

TRAVERSAL = 10  # characters traversed per unit
PATTERN = 4  # characters of a pattern per unit, multiplied by the cost of traversing the text
LIST, MAP = 10, 30  # cost of constructing one
EXCEEDED = "operation cancelled: actual cost limit exceeded"


class Meter:
    """The remaining budget of an evaluation, and its variables."""

    # Both are used in every step: with slots an attribute needs no look-up in a dictionary.
    __slots__ = ("left", "variables")

    def __init__(self, left: int, variables: dict[str, Any]) -> None:
        self.left = left
        self.variables = variables

    def charge(self, units: int) -> None:
        """Spend that many units. Raises CostError when the budget is exceeded."""
        self.left -= units
        if self.left < 0:
            raise CostError(EXCEEDED)

    def traverse(self, characters: int) -> None:
        """Charge for one traversal of a text, before doing it. Raises CostError."""
        self.charge(characters // TRAVERSAL)

    def search(self, characters: int, pattern: int) -> None:
        """Charge for matching a text against a pattern. Raises CostError."""
        self.charge((1 + characters // TRAVERSAL) * (1 + pattern // PATTERN))
