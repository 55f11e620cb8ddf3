"""Backing up and restoring the database of a state directory, for a person at a terminal. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from controller import errors
from controller.apiserver.storage import database, replacement, sqlite_errors
from controller.apiserver.storage.backups import Backups


class Restored(NamedTuple):
    """What was put in place, what the file said of itself, and where the replaced one is."""

    source: Path
    facts: Mapping[str, str]
    replaced: Path | None


class Archive:
    """The database and the backups of one state directory. Raises errors.SettingError for what a person can mend."""

    def __init__(self, state_dir: Path, clock: Callable[[], float]) -> None:
        self._database = state_dir / "api" / "objects.db"
        self.backups = Backups(state_dir / "backups", clock)

    def back_up(self, target: Path | None) -> Path:
        """Write a backup to the target, or beside the daily ones."""
        if not self._database.exists():
            raise errors.SettingError(f"there is no database {self._database} yet: start the controller once")
        try:
            if target is None:
                return self.backups.take(self._database)
            database.copy(self._database, target)
        except (sqlite3.Error, OSError) as error:
            raise errors.SettingError(f"the backup failed ({error}): {sqlite_errors.remedy(error)}") from error
        return target

    def restore(self, source: Path | None, adopt: Callable[[Mapping[str, str]], None]) -> Restored:
        """Put a backup, by default the newest sound one, in the place of the database.

        ``adopt`` gets the facts of the backup before the database is there: a power cut in between must not leave the
        objects to a host with an identity of its own.
        """
        source = source or self._newest()
        if source is None:
            raise errors.SettingError("there is no backup that could be restored: give a FILE")
        if not source.exists():
            raise errors.SettingError(f"{source} does not exist: `edge-controller backup --list` shows what there is")
        try:
            return self._put(source, adopt)
        except (sqlite3.Error, OSError) as error:
            remedy = sqlite_errors.remedy(error)
            raise errors.SettingError(f"cannot restore {source} ({error}): {remedy}") from error

    def _newest(self) -> Path | None:
        try:
            return self.backups.newest_sound()
        except (sqlite3.Error, OSError) as error:
            raise errors.SettingError(f"the backups cannot be read ({error}): {sqlite_errors.remedy(error)}") from error

    def _put(self, source: Path, adopt: Callable[[Mapping[str, str]], None]) -> Restored:
        if not database.is_sound(source):
            raise errors.SettingError(f"{source} cannot be restored, it is damaged or no backup: give another one")
        self._database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = database.facts(source)
        adopt(facts)
        fresh = replacement.prepare(source, self._database)
        return Restored(source, facts, replacement.finish(fresh, self._database, "replaced"))
