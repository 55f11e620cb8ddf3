"""Classify SQLite errors: damage, a full disk, or something transient or for a person to fix."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable

from controller import files

RESTORE = "restore a backup with `edge-controller restore --latest`"
LOCKED = "another process has locked it, e.g. an sqlite3 shell: stop that process"
REMEDIES = {
    sqlite3.SQLITE_CORRUPT: RESTORE,
    sqlite3.SQLITE_NOTADB: RESTORE,
    sqlite3.SQLITE_FULL: files.SPACE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: files.READ_ONLY,
    sqlite3.SQLITE_PERM: files.NO_RIGHT,
    sqlite3.SQLITE_CANTOPEN: "check that the controller may write its folder, and for free inodes and open files",
    sqlite3.SQLITE_IOERR: "check that its disk works (dmesg) and has space",
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged; all other errors leave its content intact."""
    # Nothing else (decision 130): taken for damage, a full disk would have a sound database set aside.
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_lock(error: sqlite3.Error) -> bool:
    """Whether another process has locked the file."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_full(error: Exception) -> bool:
    """Whether the disk is full."""
    return _code(error) == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno in FULL)


def may_be_space(error: Exception) -> bool:
    """Whether a full disk may be the cause: SQLite does not report it for a quota or for a file it cannot create."""
    return _code(error) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def underlying(error: Exception, probe: Callable[[], OSError | None]) -> Exception:
    """The underlying error: if SQLite does not report it, that of a test write to the same disk."""
    # Probed only in doubt: it writes 4 MiB.
    return (probe() or error) if may_be_space(error) else error


def remedy(error: Exception) -> str:
    """What a person can do about it."""
    if isinstance(error, OSError):
        return files.remedy(error)
    return REMEDIES.get(_code(error), "check that its disk works, has space and is writable")


def _code(error: Exception) -> int:
    """The primary result code (SQLite: Result and Error Codes); 0 for other errors."""
    # Extended codes, such as SQLITE_IOERR_WRITE, carry the primary one in their lowest byte.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
