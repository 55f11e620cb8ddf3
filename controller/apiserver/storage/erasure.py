"""Takes out of a database, once, what 0.1 should not have kept: what runtimes answered to requests of the cloud.

Out of the objects, their history, and the pages that SQLite has freed and not overwritten. Blocking.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from pathlib import Path

from controller.apiserver.storage import database

logger = logging.getLogger(__name__)

_FACT, _DONE = "answers-erased", "1"
NOTHING_TO_ERASE = {_FACT: _DONE}  # the fact of a new database
_ANSWER = "json_extract(object, '$.status.answer')"
# The text of the answer is JSON inside JSON; "|| ''" makes a text of it again.
_STRIP = f"""
UPDATE revisions SET object = json_set(object,
    '$.status.statusCode', json_extract({_ANSWER}, '$.http_response.status_code'),
    '$.status.answer', json_remove({_ANSWER}, '$.http_response') || '')
WHERE resource = 'runtimecommands.getedge.me'
    AND CASE WHEN json_valid({_ANSWER}) THEN json_type({_ANSWER}, '$.http_response') IS NOT NULL ELSE FALSE END
"""  # noqa: S608 - put together from constants


def erase(path: Path) -> None:
    """Do it, unless it was done. A failure is logged, and the next start tries again."""
    try:
        with database.hold(path):
            facts_read = database.facts(path)
            if database.is_blank(path):
                return
            if facts_read.get(_FACT) != _DONE and int(facts_read.get("format", 1)) <= database.FORMAT:
                _erase(path)
                database.keep_facts(path, NOTHING_TO_ERASE)
    except (sqlite3.Error, OSError) as error:
        logger.warning("What version 0.1 kept of requests could not be erased from %s: %s", path, error)


def _erase(path: Path) -> None:
    with database.connected(path) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        stripped = connection.execute(_STRIP).rowcount
        (mark,) = connection.execute("PRAGMA user_version").fetchone()
        if stripped or mark != database.BACKUP_MARK:  # a backup is a fresh copy: nothing else is left in its pages
            _require_space(path)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_space(path: Path) -> None:
    """VACUUM writes the database twice over (SQLite: lang_vacuum.html)."""
    if shutil.disk_usage(path.parent).free < 3 * path.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
