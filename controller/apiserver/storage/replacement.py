"""Replace a database with another one such that a power cut at any moment loses neither. Blocking.

The replacement is complete and durable under its own name before anything is renamed. A start that finds a prepared
replacement but no database finishes the replacement.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from controller import errors, files
from controller.apiserver.storage import copies, database, sqlite_errors
from controller.apiserver.storage.backups import Backups

FRESH = ".restored.db"
ASIDE = re.compile(r".*\.(?:damaged|replaced)-(\d+)")
NOTICE = "notice"  # fact that describes what was lost, until it is reported as an Event


def prepare(source: Path, path: Path, notice: str = "") -> Path:
    """Copy the source next to the database, for ``finish``. Raises errors.SettingError and then changes nothing."""
    fresh = path.with_name(FRESH)
    try:
        # Complete and on the disk before the old file moves; on a full disk this fails while everything is in place.
        copies.copy(source, fresh, {NOTICE: notice})
    except (sqlite3.Error, OSError) as error:
        need = -(-source.stat().st_size // (1 << 20))
        raise errors.SettingError(
            f"cannot replace {path} with {source} ({error}): {sqlite_errors.remedy(error)} ({need} MiB are needed) "
            "and start again; nothing was changed"
        ) from error
    return fresh


def finish(fresh: Path, path: Path, why: str) -> Path | None:
    """Set aside the database, if it exists, and put the prepared copy in its place. Returns the path of the old one."""
    aside = database.set_aside(path, database.free_name(path, why)) if path.exists() else None
    # A power cut may have separated the old log from its file; it must not be beside the fresh one.
    _clear_way(path)
    files.rename_durably(fresh, path)
    return aside


def leftover(path: Path) -> Path | None:
    """A prepared copy whose final rename is missing."""
    fresh = path.with_name(FRESH)
    if not fresh.exists() or not database.is_sound(fresh):
        return None
    database.mark(fresh)
    return fresh


def best(path: Path, backups: Backups) -> Path | None:
    """The sound file with the newest revision among backups and files set aside."""
    _clear_way(path)
    sound = [file for file in remains(path, backups) if database.is_sound(file)]
    # By revision, not by date: the clock may have been in 1970, and a file set aside is often newer than any backup.
    return max(sound, key=lambda file: database.summary(file).revision, default=None)


def remains(path: Path, backups: Backups) -> list[Path]:
    """All files that prove that a database existed."""
    return [*(backup.path for backup in backups.all()), *_set_aside(path)]


def sweep(path: Path) -> None:
    """Remove leftovers of an abandoned replacement next to an existing database."""
    for file in path.parent.glob(".*.db*"):
        if file.name.startswith(FRESH) or file.name.endswith(".partial"):
            file.unlink(missing_ok=True)


def _set_aside(path: Path) -> Iterator[Path]:
    """The files set aside, ordered by their numbers."""
    found = [(int(match[1]), file) for file in path.parent.glob("*") if (match := ASIDE.fullmatch(file.name))]
    yield from (file for _, file in sorted(found))


def _clear_way(path: Path) -> None:
    """Move a log without its database to the file it belongs to: SQLite would replay it into the next database.

    It belongs to the file set aside last, if a power cut came between the two renames.
    """
    if path.exists():
        return
    owner = [path.with_name(f"{path.name}.lost"), *_set_aside(path)][-1]
    for suffix in database.SIDE_FILES:
        side, place = path.with_name(path.name + suffix), owner.with_name(owner.name + suffix)
        if side.exists():
            # Never over an existing log: that one may hold the last writes of its own database.
            side.rename(place if not place.exists() else place.with_name(database.free_name(place, "lost")))
