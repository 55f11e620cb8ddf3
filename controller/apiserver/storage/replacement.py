"""Putting another database in the place of one, so that a power cut at any moment loses neither. Blocking.

The replacement is whole and on disk under a name of its own before anything is renamed. A start that finds no database
but what such a replacement leaves behind finishes it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from controller import errors
from controller.apiserver.storage import database, sqlite_errors
from controller.apiserver.storage.backups import Backups

FRESH = ".restored.db"
ASIDE = re.compile(r".*\.(damaged|replaced)-(\d+)")
NOTICE = "notice"  # the fact that says what was lost, until it was told


def prepare(source: Path, path: Path, notice: str = "") -> Path:
    """A copy of the source beside the database, ready for ``finish``. Raises errors.SettingError, with all in place."""
    fresh = path.with_name(FRESH)
    try:
        database.copy(source, fresh, {NOTICE: notice})
    except (sqlite3.Error, OSError) as error:
        need = -(-source.stat().st_size // (1 << 20))
        raise errors.SettingError(
            f"cannot replace {path} with {source} ({error}): {sqlite_errors.remedy(error)} ({need} MiB are needed) "
            "and start again; nothing was changed"
        ) from error
    return fresh


def finish(fresh: Path, path: Path, why: str) -> Path | None:
    """Set the database aside, if there is one, and put the prepared copy in its place; where the old one is."""
    aside = database.set_aside(path, database.free_name(path, why)) if path.exists() else None
    _clear_way(path)
    database.put(fresh, path)
    return aside


def leftover(path: Path) -> Path | None:
    """A prepared copy that only lacked its last renaming."""
    fresh = path.with_name(FRESH)
    if not fresh.exists() or not database.is_sound(fresh):
        return None
    database.mark(fresh)
    return fresh


def best(path: Path, backups: Backups) -> Path | None:
    """Of all that was set aside or backed up, the sound file that has come furthest."""
    _clear_way(path)
    sound = [file for file in remains(path, backups) if database.is_sound(file)]
    return max(sound, key=lambda file: database.summary(file).revision, default=None)


def remains(path: Path, backups: Backups) -> list[Path]:
    """What says that there was a database."""
    return [*(backup.path for backup in backups.all()), *_set_aside(path)]


def sweep(path: Path) -> None:
    """Remove what a replacement that was given up left beside a database that is there."""
    for file in path.parent.glob(".*.db*"):
        if file.name.startswith(FRESH) or file.name.endswith(".partial"):
            file.unlink(missing_ok=True)


def _set_aside(path: Path) -> Iterator[Path]:
    """In the order in which they were set aside, of each sort."""
    found = [(int(match[2]), file) for file in path.parent.glob("*") if (match := ASIDE.fullmatch(file.name))]
    yield from (file for _, file in sorted(found))


def _clear_way(path: Path) -> None:
    """Give a log without its database to the file it belongs to: SQLite would play it into the next one.

    That is the file set aside last, when the power went between the two renamings.
    """
    if path.exists():
        return
    owner = max(_set_aside(path), key=lambda file: file.stat().st_ctime_ns, default=path.with_name(f"{path.name}.lost"))
    for suffix in database.SIDE_FILES:
        side, place = path.with_name(path.name + suffix), owner.with_name(owner.name + suffix)
        if side.exists():
            side.rename(place if not place.exists() else place.with_name(database.free_name(place, "lost")))
