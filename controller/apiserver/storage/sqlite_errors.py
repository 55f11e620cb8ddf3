"""What an error of SQLite means: damage, a full disk, or something that passes or that a person has to clear."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable

from controller import files

RESTORE = "put back a backup with `edge-controller restore --latest`"
LOCKED = "another process holds it, such as an sqlite3 shell: end that process"
REMEDIES = {
    sqlite3.SQLITE_CORRUPT: RESTORE,
    sqlite3.SQLITE_NOTADB: RESTORE,
    sqlite3.SQLITE_FULL: files.SPACE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: files.READ_ONLY,
    sqlite3.SQLITE_PERM: files.NO_RIGHT,
    sqlite3.SQLITE_CANTOPEN: "see that the controller may write its folder, and that inodes and open files are left",
    sqlite3.SQLITE_IOERR: "see that its disk works (dmesg) and has space",
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged; everything else leaves its content as it is."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: Exception) -> bool:
    """Whether there was no space to write."""
    return _code(error) == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in FULL)


def may_be_space(error: Exception) -> bool:
    """Whether a full disk can be behind it: SQLite does not say so of a quota, nor of a file it cannot make."""
    return _code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def underlying(error: Exception, probe: Callable[[], OSError | None]) -> Exception:
    """What is behind an error: that of a write to the same disk now, where SQLite does not tell."""
    return (probe() or error) if may_be_space(error) else error


def remedy(error: Exception) -> str:
    """What a person does about it."""
    if isinstance(error, OSError):
        return files.remedy(error)
    return REMEDIES.get(_code(error), "see that its disk works, has space and can be written")


def _code(error: Exception) -> int:
    """The primary result code (SQLite: Result and Error Codes), 0 for an error that is not of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
