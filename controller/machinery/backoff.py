"""Exponential backoff, with jitter so that a fleet does not retry in step."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator

Jitter = Callable[[float, float], float]
"""Picks a delay between two bounds."""

# 2 ** 1024 does not fit into a float: without a bound, an outage of a day would end in an OverflowError.
_MOST_DOUBLINGS = 32


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
        # A Backoff of its own: concurrent requests must not lengthen the delays of each other.
        backoff = Backoff(self._first, self._longest, self._jitter)
        while True:
            yield backoff.next()

    def next(self) -> float:
        """Return the next delay."""
        self._attempt += 1
        ceiling = min(self._longest, self._first * 2 ** min(self._attempt, _MOST_DOUBLINGS))
        # Only the upper half is random: a delay near zero would be no pause.
        return self._jitter(max(self._first, ceiling / 2), ceiling)

    def reset(self) -> None:
        """Start over with short delays."""
        self._attempt = 0


class Retry:
    """The retries of something that fails: their delays, and a log record for each distinct failure.

    ``action`` completes "Failed to".
    """

    def __init__(self, action: str, logger: logging.Logger, backoff: Backoff) -> None:
        self._action = action
        self._log = logger
        self._backoff = backoff
        self._failure = ""

    def failed(self, failure: str, *, quiet: bool = False) -> float:
        """Return the seconds until the next try; log a warning unless it repeats the last failure or is ``quiet``."""
        level = logging.DEBUG if quiet or self.repeats(failure) else logging.WARNING
        self._log.log(level, "Failed to %s: %s", self._action, failure)
        self._failure = failure
        return self._backoff.next()

    def repeats(self, failure: str) -> bool:
        """Return whether the last try failed in the same way."""
        return failure == self._failure

    def succeeded(self) -> None:
        """Start over: with short delays, and the next failure is a new one."""
        self._failure = ""
        self._backoff.reset()
