"""When the daily backup is due: a day of running after the one before, however the time of day is set meanwhile.

Only how old the newest backup was at the start is told by the time of day, once that can be right.
"""

from __future__ import annotations

from collections.abc import Callable

from controller import RELEASED
from controller.apiserver.storage.backups import DAY, Backups


class DailyTimer:
    """``clock`` is the time of day, ``elapsed`` is never set; both in seconds."""

    def __init__(self, backups: Backups, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._backups = backups
        self._clock = clock
        self._elapsed = elapsed
        self._next = elapsed() + DAY
        self._is_known = False  # how old the newest backup was

    def is_due(self) -> bool:
        """Whether one is to be taken now. Reads a folder."""
        if not self._is_known and (self._clock() >= RELEASED.timestamp() or not self._backups.all()):
            self._is_known = True
            self._next = self._elapsed() + self._backups.due_in()
        return self._elapsed() >= self._next

    def restart(self) -> None:
        """One was taken now."""
        self._is_known, self._next = True, self._elapsed() + DAY
