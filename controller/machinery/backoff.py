"""How long to wait before the next attempt: growing, and drawn at random so that a fleet does not come back at once."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays between ``shortest`` and ``longest`` seconds; ``draw(a, b)`` picks one at random in between."""

    def __init__(
        self, shortest: float = 1.0, longest: float = 5.0, draw: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._shortest = shortest
        self._longest = longest
        self._draw = draw
        self._ceiling = shortest

    def next(self) -> float:
        """The next delay in seconds."""
        self._ceiling = min(self._longest, self._ceiling * 2)
        return self._draw(self._shortest, self._ceiling)

    def reset(self) -> None:
        """Begin with short delays again."""
        self._ceiling = self._shortest
