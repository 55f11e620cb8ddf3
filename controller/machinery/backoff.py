"""Exponential backoff, with jitter so that a fleet does not retry in step. No I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Jitter = Callable[[float, float], float]
"""Picks a delay between two bounds."""

_MOST_DOUBLINGS = 32  # bounds the exponent during a long outage


class Backoff:
    """Delays in seconds: the n-th is in the upper half of ``first * 2**n``, never above ``longest``.

    Iterating starts over with the first delay and never ends: kopf iterates for each request, and with a finite list it
    would drop a pending write when an outage outlasts the list.
    """

    def __init__(self, first: float = 1.0, longest: float = 30.0, jitter: Jitter = random.uniform) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._attempt = 0

    def __iter__(self) -> Iterator[float]:
        backoff = Backoff(self._first, self._longest, self._jitter)
        while True:
            yield backoff.next()

    def next(self) -> float:
        """Return the next delay."""
        self._attempt += 1
        ceiling = min(self._longest, self._first * 2 ** min(self._attempt, _MOST_DOUBLINGS))
        return self._jitter(max(self._first, ceiling / 2), ceiling)

    def reset(self) -> None:
        """Start over with short delays."""
        self._attempt = 0
