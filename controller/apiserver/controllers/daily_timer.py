"""When the daily backup is due: a day of elapsed time after the previous one, whatever happens to the wall clock.

Only the age of the newest backup at the start comes from the wall clock, once that is plausible.
"""

from __future__ import annotations

from collections.abc import Callable

from controller import RELEASED
from controller.apiserver.storage.backups import DAY, Backups


class DailyTimer:
    """``clock`` is the wall clock; ``elapsed`` is monotonic; both in seconds."""

    def __init__(self, backups: Backups, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._backups = backups
        self._clock = clock
        self._elapsed = elapsed
        self._next = elapsed() + DAY
        self._is_known = False  # whether the age of the newest backup is known

    def is_due(self) -> bool:
        """Whether a backup is due. Reads a folder."""
        if not self._is_known and (self._clock() >= RELEASED.timestamp() or not self._backups.all()):
            self._is_known = True
            self._next = self._elapsed() + self._backups.due_in()
        return self._elapsed() >= self._next

    def restart(self) -> None:
        """Start the next day: a backup was taken just now."""
        self._is_known, self._next = True, self._elapsed() + DAY
