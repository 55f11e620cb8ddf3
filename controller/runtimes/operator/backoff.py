"""Delays without an end, for a library that would otherwise give up. No I/O."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0


class EndlessBackoff:
    """Growing, jittered seconds between attempts; every ``iter`` begins anew.

    kopf iterates over it at each request; with a finite list it would drop what it was about to write, and end
    the operator, when an outage lasts longer than the list.
    """

    def __init__(
        self,
        first: float = FIRST_SECONDS,
        longest: float = LONGEST_SECONDS,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            delay = min(self._first * 2 ** min(attempt, 16), self._longest)
            yield self._jitter(delay / 2, delay)
