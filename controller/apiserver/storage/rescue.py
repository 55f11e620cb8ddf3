"""Before the store is opened: a damaged file is set aside for the newest sound backup, an upgrade is preceded by one.

A box that nobody visits has to come up by itself, so a damaged file never ends the start; see docs/decisions/071.
Blocking.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from controller import errors
from controller.apiserver.storage import database
from controller.apiserver.storage.backups import Backups

logger = logging.getLogger(__name__)

VERSION = "version"  # the facts of every file
FORMAT = "format"


def prepare(path: Path, backups: Backups, version: str) -> str:
    """Leave a file that can be opened, or none; what was lost in a sentence, "" for nothing.

    Raises errors.SettingError for a file that a later program made.
    """
    if not path.exists():
        return ""
    if fault := database.fault(path):
        return _replace(path, backups, fault)
    _before_upgrade(path, backups, version, database.facts(path))
    return ""


def _replace(path: Path, backups: Backups, fault: str) -> str:
    aside = database.set_aside(path, database.free_name(path, "damaged"))
    source = backups.newest_sound()
    if source is None:
        lost = f"the database was damaged ({fault}) and there is no backup: everything begins anew"
    else:
        fresh = path.with_name(".restored.db")
        shutil.copyfile(source, fresh)
        database.put(fresh, path)
        lost = f"the database was damaged ({fault}): restored {source.name}, what is newer is lost"
    logger.error("%s; the damaged file is kept as %s", lost, aside)
    return f"{lost}; the damaged file is kept as {aside.name}"


def _before_upgrade(path: Path, backups: Backups, version: str, facts: Mapping[str, str]) -> None:
    if int(facts.get(FORMAT, 1)) > database.FORMAT:
        raise errors.SettingError(
            f"{path} was written by version {facts.get(VERSION)}, which this one ({version}) cannot read: install that "
            "version again, or put back the backup taken before the upgrade with `edge-controller restore --latest`"
        )
    if facts.get(VERSION, version) == version:
        return
    try:
        taken = backups.take(path, f"before-{version}")
    except (sqlite3.Error, OSError) as error:
        logger.warning("No backup could be taken before the upgrade to %s: %s", version, error)
    else:
        logger.info("Backed up as %s before the upgrade from %s to %s", taken.name, facts.get(VERSION), version)
