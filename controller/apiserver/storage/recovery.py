"""Prepare the database before it is opened: replace a damaged or missing one by the best copy; back up before upgrades.

An unattended host must recover without help, so damage never aborts the start. Anything else - a full disk, a lock, a
read-only file system - aborts it with an error and changes nothing. See docs/decisions/071 and 130. Blocking.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from controller import errors
from controller.apiserver.storage import conversion, database, erasure, replacement, sqlite_errors
from controller.apiserver.storage.backups import BEFORE, Backups
from controller.apiserver.storage.replacement import NOTICE

logger = logging.getLogger(__name__)

VERSION = "version"  # facts of every database
EMPTY = "starting with an empty database"


def prepare(
    path: Path, backups: Backups, version: str, *, backup_required: bool = True, witness: Path | None = None
) -> str:
    """Leave a database that can be opened, or none. Returns a sentence on what was lost, "" for nothing.

    ``witness`` is a file that exists after the first start: if it exists, a missing database was lost.

    Raises errors.SettingError if a later version wrote the file, if it cannot be read or replaced at present, or if a
    required backup before an upgrade fails.
    """
    try:
        lost = _restored(path, backups, witness)
        # No database and nothing to restore is the first start: Rows creates the file.
        if not path.exists():
            return lost
        with database.connected(path):  # the connections below share its lock and its index of the log
            facts_read = database.facts(path)
            for kept in (path, *(backup.path for backup in backups.all())):
                erasure.erase(kept)
            _before_upgrade(path, backups, version, facts_read, backup_required=backup_required)
        # Last, and without a connection: it replaces the file and its log.
        conversion.convert(path, {**database.facts(path), database.FORMAT_FACT: str(database.FORMAT)})
    except (sqlite3.Error, OSError) as error:
        raise errors.SettingError(
            f"cannot use the database {path} ({error}): {sqlite_errors.remedy(error)}; nothing was changed"
        ) from error
    return lost or facts_read.get(NOTICE, "")


def _restored(path: Path, backups: Backups, witness: Path | None) -> str:
    """Ensure a sound database, if one ever existed. Returns what was lost."""
    # Before everything else: on a small disk, what a power cut left behind may be the space that a restore lacks.
    backups.sweep()
    if not path.exists():
        return _resume(path, backups, witness)
    fault = database.fault(path)
    blank = not fault and database.is_blank(path)
    if fault:
        return _replace(path, backups, fault)
    if blank:
        return _resume(path, backups, witness)
    # Only beside a sound database: next to a missing one, ``.restored.db`` is the copy that has to be put in place.
    replacement.sweep(path)
    return ""


def _replace(path: Path, backups: Backups, fault: str) -> str:
    """Replace a damaged database with the newest sound backup."""
    what = f"The database was damaged ({fault})"
    source = backups.newest_sound()
    if source is None:
        # Renamed, never deleted: a person may still recover rows from it.
        aside: Path | None = database.set_aside(path, database.free_name(path, "damaged"))
        lost = f"{what} and there is no backup: {EMPTY}"
    else:
        lost = f"{what}: restored {source.name}, all newer changes are lost"
        # The sentence is stored in the copy: a power cut before the Event is written must not lose the report.
        aside = replacement.finish(replacement.prepare(source, path, lost), path, "damaged")
    return _report(f"{lost}; the damaged file is kept as {aside.name if aside else path.name}")


def _resume(path: Path, backups: Backups, witness: Path | None) -> str:
    """For a missing or blank database: finish an interrupted replacement, or restore. A first start has neither."""
    # Preferred to a newer file set aside: somebody or a recovery chose this copy, and only its last rename is missing.
    if found := replacement.leftover(path):
        return _put(found, path, "The database was missing: finished an interrupted restore")
    remains = replacement.remains(path, backups)
    if not remains:
        # Without this a lost directory would look like a first start, and the objects would vanish without a word.
        known = witness is not None and witness.exists()
        return _report(f"The database was missing and there is no backup: {EMPTY}") if known else ""
    source = replacement.best(path, backups)
    if source is None:
        names = ", ".join(sorted(file.name for file in remains))
        return _report(f"The database was missing and no other copy can be read ({names}): {EMPTY}")
    lost = f"The database was missing: restored {source.name}, all newer changes are lost"
    return _put(replacement.prepare(source, path, lost), path, lost)


def _put(fresh: Path, path: Path, lost: str) -> str:
    path.unlink(missing_ok=True)  # a blank file may exist
    replacement.finish(fresh, path, "damaged")
    return _report(lost)


def _report(lost: str) -> str:
    logger.error("%s", lost)
    return lost


def _before_upgrade(
    path: Path, backups: Backups, version: str, facts: Mapping[str, str], *, backup_required: bool
) -> None:
    if database.is_of_later_format(path):
        raise errors.SettingError(
            f"{path} was written by version {facts.get(VERSION)}, and this version ({version}) cannot read it: install "
            "that version again, or restore the backup taken before the upgrade with `edge-controller restore --latest`"
        )
    # A file without this fact has no version to compare with.
    before = facts.get(VERSION, version)
    if before == version and not conversion.is_due(path):
        return
    note = f"{BEFORE}{version}"
    try:
        # A start that fails after its backup is repeated by the service manager, without end on a full disk.
        if backups.newest_is(path, note):
            return
        taken = backups.take(path, note)
    except (sqlite3.Error, OSError) as error:
        if backup_required:
            raise errors.SettingError(
                f"cannot take a backup before the upgrade from {before} to {version} ({error}): "
                f"{sqlite_errors.remedy(error)}, or set EDGE_UPGRADE_WITHOUT_BACKUP=true; nothing was changed"
            ) from error
        logger.warning("No backup was taken before the upgrade to %s: %s", version, error)
    else:
        logger.info("Took the backup %s before the upgrade from %s to %s", taken.name, before, version)
