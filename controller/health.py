"""Liveness of the controller's loops, for /healthz and the systemd watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable


class Liveness:
    """Each registered loop reports a heartbeat after every iteration; without one within its limit it is stale.

    ``beat`` may be called from any thread. Time is monotonic: setting the clock or suspending the host makes no loop
    stale.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def expect(self, name: str, within: float) -> Callable[[], None]:
        """Expect a heartbeat of ``name`` every ``within`` seconds; return the function that its loop calls."""
        self._limits[name] = within
        self.beat(name)
        return lambda: self.beat(name)

    def forget(self, name: str) -> None:
        """Stop expecting heartbeats of ``name``, which has ended properly."""
        self._limits.pop(name, None)

    def beat(self, name: str) -> None:
        """Record one iteration of the loop ``name``."""
        self._last[name] = self._clock()

    def stale(self) -> list[str]:
        """Return one sentence for each loop over its limit."""
        now = self._clock()
        ages = {name: now - self._last[name] for name in list(self._limits)}
        return [
            f"{name} has been stuck for {age:.0f} s (limit {self._limits[name]:.0f} s)"
            for name, age in ages.items()
            if age > self._limits[name]
        ]
