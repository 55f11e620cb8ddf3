"""The backups of the store: one a day and one before an upgrade, the newest kept. Blocking.

They are counted, not dated: a box that starts without a clock must not take its newest backup for its oldest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from controller.apiserver.storage import database

KEPT = 7
DAY = 24 * 3600.0
NAME = re.compile(r"objects-(\d{6})-(\d{8}T\d{6}Z)(?:-.*)?\.db")
TIME_FORM = "%Y%m%dT%H%M%SZ"


class Backup(NamedTuple):
    """One file; ``taken`` is by the clock of then, in seconds since 1970."""

    number: int
    taken: float
    path: Path


class Backups:
    """The backups in one folder, which is made when the first is taken."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock

    def all(self) -> list[Backup]:
        """The newest first."""
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted((backup for path in names if (backup := _read(path))), reverse=True)

    def take(self, source: Path, note: str = "") -> Path:
        """Add one, and let the oldest go. Raises sqlite3.Error and OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self.all()
        number = known[0].number + 1 if known else 1
        when = datetime.fromtimestamp(self._clock(), UTC).strftime(TIME_FORM)
        target = self._folder / f"objects-{number:06}-{when}{'-' if note else ''}{note}.db"
        database.copy(source, target)
        for old in known[KEPT - 1 :]:
            old.path.unlink(missing_ok=True)
        return target

    def is_due(self) -> bool:
        """Whether a day has passed since the last one, or the clock was set by more than that."""
        known = self.all()
        return not known or abs(self._clock() - known[0].taken) >= DAY

    def newest_sound(self) -> Path | None:
        """The newest that can be restored."""
        return next((backup.path for backup in self.all() if not database.fault(backup.path)), None)


def _read(path: Path) -> Backup | None:
    found = NAME.fullmatch(path.name)
    if not found:
        return None
    taken = datetime.strptime(found[2], TIME_FORM).replace(tzinfo=UTC)
    return Backup(int(found[1]), taken.timestamp(), path)
