"""Whether the loops that do the work still turn: the truth behind /healthz and the systemd watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable


class Beats:
    """Each registered loop says that it turned; one that did not within its limit is stale.

    Beats may come from any thread. Time is monotonic: a clock that is set, or a host that slept, makes nobody stale.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, name: str, within: float) -> Callable[[], None]:
        """From now on ``name`` must beat every ``within`` seconds; returns the function that its loop calls."""
        self._limits[name] = within
        self.beat(name)
        return lambda: self.beat(name)

    def forget(self, name: str) -> None:
        """``name`` has ended in good order and need not beat any more."""
        self._limits.pop(name, None)

    def beat(self, name: str) -> None:
        """The loop ``name`` turned once."""
        self._last[name] = self._clock()

    def stale(self) -> list[str]:
        """One sentence for each loop that is over its limit; empty when all is well."""
        now = self._clock()
        ages = {name: now - self._last[name] for name in list(self._limits)}
        return [
            f"{name} has not turned for {age:.0f} s (limit {self._limits[name]:.0f} s)"
            for name, age in ages.items()
            if age > self._limits[name]
        ]
