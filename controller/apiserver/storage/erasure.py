"""Erase once from a database what version 0.1 should not have stored: responses of runtimes to cloud requests.

Erases them from the objects, their history, and the pages that SQLite has freed but not overwritten. Blocking.
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
# The answer is JSON in a string; "|| ''" turns the result back into a string.
_STRIP = f"""
UPDATE revisions SET object = json_set(object,
    '$.status.statusCode', json_extract({_ANSWER}, '$.http_response.status_code'),
    '$.status.answer', json_remove({_ANSWER}, '$.http_response') || '')
WHERE resource = 'runtimecommands.getedge.me'
    AND CASE WHEN json_valid({_ANSWER}) THEN json_type({_ANSWER}, '$.http_response') IS NOT NULL ELSE FALSE END
"""  # noqa: S608 - put together from constants


def erase(path: Path) -> None:
    """Erase unless done before. Logs a failure; the next start retries."""
    try:
        with database.connected(path):
            facts_read = database.facts(path)
            if database.is_blank(path):
                return
            if facts_read.get(_FACT) != _DONE and not database.is_of_later_format(path):
                _erase(path)
                # Recorded last: an erasure that a power cut ends must run again.
                database.keep_facts(path, NOTHING_TO_ERASE)
    except (sqlite3.Error, OSError) as error:
        logger.warning("Cannot erase the responses that version 0.1 stored in %s: %s", path, error)


def _erase(path: Path) -> None:
    with database.connected(path) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        stripped = connection.execute(_STRIP).rowcount
        (mark,) = connection.execute("PRAGMA user_version").fetchone()
        if stripped or mark != database.BACKUP_MARK:  # a backup is a fresh copy without freed pages
            _require_space(path)
            connection.execute("VACUUM")
            # The log still holds the old pages until it is truncated; a kept log would keep the responses as well.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_space(path: Path) -> None:
    """Raise OSError if VACUUM would lack space: it writes the database twice (SQLite: lang_vacuum.html)."""
    if shutil.disk_usage(path.parent).free < 3 * path.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
