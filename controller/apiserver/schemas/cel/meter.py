"""What an evaluation costs, in the units of Kubernetes (cel-go: interpreter/runtimecost.go), and the most it may."""

from __future__ import annotations

from typing import Any

from controller.apiserver.schemas.cel.failures import CostError

TRAVERSAL = 10  # characters that are gone through for one unit
PATTERN = 4  # characters of a pattern for one unit, as often as its text is gone through
LIST, MAP = 10, 30  # what making one costs
EXCEEDED = "operation cancelled: actual cost limit exceeded"


class Meter:
    """What may still be spent, and the variables of the evaluation that spends it."""

    __slots__ = ("left", "variables")

    def __init__(self, left: int, variables: dict[str, Any]) -> None:
        self.left = left
        self.variables = variables

    def charge(self, units: int) -> None:
        """Raises CostError."""
        self.left -= units
        if self.left < 0:
            raise CostError(EXCEEDED)

    def traverse(self, characters: int) -> None:
        """Charge for going through a text once, before it is done. Raises CostError."""
        self.charge(characters // TRAVERSAL)

    def search(self, characters: int, pattern: int) -> None:
        """Charge for holding a text against a pattern. Raises CostError."""
        self.charge((1 + characters // TRAVERSAL) * (1 + pattern // PATTERN))
