"""Before the store is opened: a damaged or missing file gives way to the best copy, an upgrade is preceded by a backup.

A box that nobody visits has to come up by itself, so damage never ends the start; what is not damage - a full disk, a
lock, a read-only file system - ends it with a sentence and everything in place. See docs/decisions/071 and 130.
Blocking.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from controller import errors
from controller.apiserver.storage import database, erasure, replacement, sqlite_errors
from controller.apiserver.storage.backups import BEFORE, Backups
from controller.apiserver.storage.replacement import NOTICE

logger = logging.getLogger(__name__)

VERSION = "version"  # the facts of every file
FORMAT = "format"


def prepare(
    path: Path, backups: Backups, version: str, *, backup_required: bool = True, witness: Path | None = None
) -> str:
    """Leave a file that can be opened, or none; what was lost in a sentence, "" for nothing.

    ``witness`` is a file that is written after the first start: with it, a missing database is no first start.

    Raises errors.SettingError for a file that a later program made, for one that cannot be read or replaced now, and
    when an upgrade needs a backup that cannot be taken.
    """
    try:
        lost = _restored(path, backups, witness)
        if not path.exists():
            return lost
        with database.hold(path):
            facts_read = database.facts(path)
            for kept in (path, *(backup.path for backup in backups.all())):
                erasure.erase(kept)
            _before_upgrade(path, backups, version, facts_read, backup_required=backup_required)
    except (sqlite3.Error, OSError) as error:
        raise errors.SettingError(
            f"the database {path} cannot be used now ({error}): {sqlite_errors.remedy(error)}; nothing was changed"
        ) from error
    return lost or facts_read.get(NOTICE, "")


def _restored(path: Path, backups: Backups, witness: Path | None) -> str:
    """Have a sound database in place, if there ever was one; what was lost."""
    backups.sweep()
    if not path.exists():
        return _resume(path, backups, witness)
    with database.hold(path):
        fault = database.fault(path)
        blank = not fault and database.is_blank(path)
    if fault:
        return _replace(path, backups, fault)
    if blank:
        return _resume(path, backups, witness)
    replacement.sweep(path)
    return ""


def _replace(path: Path, backups: Backups, fault: str) -> str:
    """Put the newest sound backup in the place of a damaged database."""
    what = f"the database was damaged ({fault})"
    source = backups.newest_sound()
    if source is None:
        aside: Path | None = database.set_aside(path, database.free_name(path, "damaged"))
        lost = f"{what} and there is no backup: everything begins anew"
    else:
        lost = f"{what}: restored {source.name}, what is newer is lost"
        aside = replacement.finish(replacement.prepare(source, path, lost), path, "damaged")
    return _report(f"{lost}; the damaged file is kept as {aside.name if aside else path.name}")


def _resume(path: Path, backups: Backups, witness: Path | None) -> str:
    """Where the database is missing or blank: finish what was broken off. A first start has nothing to finish."""
    if found := replacement.leftover(path):
        return _put(found, path, "the database was missing: finished the restore that was broken off")
    remains = replacement.remains(path, backups)
    if not remains:
        known = witness is not None and witness.exists()
        return _report("the database was missing and there is no backup: everything begins anew") if known else ""
    source = replacement.best(path, backups)
    if source is None:
        names = ", ".join(sorted(file.name for file in remains))
        return _report(f"the database was missing and nothing beside it can be read ({names}): everything begins anew")
    lost = f"the database was missing: restored {source.name}, what is newer is lost"
    return _put(replacement.prepare(source, path, lost), path, lost)


def _put(fresh: Path, path: Path, lost: str) -> str:
    path.unlink(missing_ok=True)  # it was blank
    replacement.finish(fresh, path, "damaged")
    return _report(lost)


def _report(lost: str) -> str:
    logger.error("%s", lost)
    return lost


def _before_upgrade(
    path: Path, backups: Backups, version: str, facts: Mapping[str, str], *, backup_required: bool
) -> None:
    if int(facts.get(FORMAT, 1)) > database.FORMAT:
        raise errors.SettingError(
            f"{path} was written by version {facts.get(VERSION)}, which this one ({version}) cannot read: install that "
            "version again, or put back the backup taken before the upgrade with `edge-controller restore --latest`"
        )
    before = facts.get(VERSION, version)
    if before == version:
        return
    try:
        taken = backups.take(path, f"{BEFORE}{version}")
    except (sqlite3.Error, OSError) as error:
        if backup_required:
            raise errors.SettingError(
                f"no backup can be taken before the upgrade from {before} to {version} ({error}): "
                f"{sqlite_errors.remedy(error)}, or set EDGE_UPGRADE_WITHOUT_BACKUP=true; nothing was changed"
            ) from error
        logger.warning("No backup was taken before the upgrade to %s: %s", version, error)
    else:
        logger.info("Backed up as %s before the upgrade from %s to %s", taken.name, before, version)
