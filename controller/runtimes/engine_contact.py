"""When the container engine was last out of reach: the one mutable fact that the attribution of restarts needs."""

from __future__ import annotations

from typing import NamedTuple


class Absence(NamedTuple):
    """An outage of the engine in seconds since the host booted; ``until`` is None while it lasts."""

    since: float
    until: float | None = None


class EngineContact:
    """The engine's last outage; ``absence`` is None until the first one."""

    def __init__(self) -> None:
        self.absence: Absence | None = None

    def lost(self, now: float) -> None:
        """Note that the engine stopped responding."""
        self.absence = Absence(now)

    def found(self, now: float) -> None:
        """Note that the engine responds again."""
        if self.absence and self.absence.until is None:
            self.absence = self.absence._replace(until=now)
