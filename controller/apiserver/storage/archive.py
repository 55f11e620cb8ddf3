"""Back up and restore the database of a state directory from the command line. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from controller import errors
from controller.apiserver.storage import copies, database, replacement, sqlite_errors
from controller.apiserver.storage.backups import Backups
from controller.apiserver.storage.copies import Statement


class Restored(NamedTuple):
    """The restored backup, its facts, and where the replaced database is."""

    source: Path
    facts: Mapping[str, str]
    replaced: Path | None


class Archive:
    """The database and the backups of one state directory. Raises errors.SettingError with a remedy."""

    def __init__(self, state_dir: Path, clock: Callable[[], float]) -> None:
        self._database = state_dir / "api" / "objects.db"
        self.backups = Backups(state_dir / "backups", clock)

    def back_up(self, target: Path | None, running: Callable[[], Iterable[Statement]]) -> Path:
        """Write a backup to ``target``, by default next to the daily ones. Returns its path.

        ``running`` returns a copy from the controller that runs, beside which no other process can read the database.
        """
        if not self._database.exists():
            raise errors.SettingError(f"there is no database {self._database} yet: start the controller once")

        def of_running(_: Path, target: Path) -> None:
            copies.write(running(), target)

        try:
            copy = of_running if database.is_in_use(self._database) else copies.copy
            # The daily folder rotates and numbers its files; a path that a person gives is left alone.
            if target is None:
                return self.backups.take(self._database, copy=copy)
            copy(self._database, target)
        except (sqlite3.Error, OSError) as error:
            raise errors.SettingError(f"the backup failed ({error}): {sqlite_errors.remedy(error)}") from error
        return target

    def restore(self, source: Path | None, adopt: Callable[[Mapping[str, str]], None]) -> Restored:
        """Replace the database with a backup, by default the newest sound one.

        ``adopt`` receives the facts of the backup before the database is in place: a power cut in between must not
        leave the objects on a host with another identity.
        """
        source = source or self._newest()
        if source is None:
            raise errors.SettingError("there is no backup to restore: give a FILE")
        if not source.exists():
            raise errors.SettingError(f"{source} does not exist: `edge-controller backup --list` lists the backups")
        try:
            return self._put(source, adopt)
        except (sqlite3.Error, OSError) as error:
            remedy = sqlite_errors.remedy(error)
            raise errors.SettingError(f"cannot restore {source} ({error}): {remedy}") from error

    def _newest(self) -> Path | None:
        try:
            return self.backups.newest_sound()
        except (sqlite3.Error, OSError) as error:
            raise errors.SettingError(f"cannot read the backups ({error}): {sqlite_errors.remedy(error)}") from error

    def _put(self, source: Path, adopt: Callable[[Mapping[str, str]], None]) -> Restored:
        # Checked before anything is replaced: an unsound copy in place would cost the database that still works.
        if not database.is_sound(source):
            raise errors.SettingError(f"cannot restore {source}, it is damaged or not a backup: give another one")
        if database.is_of_later_format(source):
            raise errors.SettingError(
                f"cannot restore {source}, version {database.facts(source).get('version')} wrote it and this version "
                "cannot read it: give another one, or install that version"
            )
        self._database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = database.facts(source)
        adopt(facts)
        fresh = replacement.prepare(source, self._database)
        return Restored(source, facts, replacement.finish(fresh, self._database, "replaced"))
