"""What an error of SQLite or of the system means, and what a client is told of it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import errors, files
from controller.apiserver.storage import sqlite_errors
from controller.apiserver.storage.store import Store
from controller.disk import Disk
from tests.apiserver.storage.test_store import put


def of_sqlite(code: int) -> sqlite3.Error:
    """An error as SQLite gives it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


def of_system(number: int) -> OSError:
    """An error as the system gives it."""
    return OSError(number, os.strerror(number))


def finding(number: int | None) -> Callable[[], OSError | None]:
    """A probe of a disk."""
    return lambda: of_system(number) if number else None


SPACE, QUOTA, BROKEN = errno.ENOSPC, errno.EDQUOT, errno.EIO
WRITE, OPEN = sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN


@pytest.mark.parametrize(
    ("error", "probe", "full"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), finding(None), True),
        (of_sqlite(WRITE), finding(QUOTA), True),
        (of_sqlite(WRITE), finding(SPACE), True),
        (of_sqlite(OPEN), finding(QUOTA), True),
        (of_system(QUOTA), finding(None), True),
        (of_system(SPACE), finding(None), True),
        (of_sqlite(WRITE), finding(BROKEN), False),
        (of_sqlite(WRITE), finding(None), False),
        (of_system(BROKEN), finding(QUOTA), False),
        (of_sqlite(sqlite3.SQLITE_BUSY), finding(QUOTA), False),
    ],
)
def test_a_disk_is_full_without_space_and_without_quota(
    error: Exception, probe: Callable[[], OSError | None], full: bool
) -> None:
    assert sqlite_errors.is_full(sqlite_errors.underlying(error, probe)) is full


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (of_system(QUOTA), files.SPACE),
        (of_sqlite(sqlite3.SQLITE_FULL), files.SPACE),
        (of_system(BROKEN), files.REMEDIES[BROKEN]),
        (of_sqlite(WRITE), sqlite_errors.REMEDIES[sqlite3.SQLITE_IOERR]),
    ],
)
def test_each_error_has_a_remedy(error: Exception, remedy: str) -> None:
    assert sqlite_errors.remedy(error) == remedy


class Refusing(Disk):
    """A disk that cannot be written, though its file system shows room."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(directory)
        self._number = number

    def probe(self) -> OSError | None:
        """What a write finds."""
        return of_system(self._number)


async def written(directory: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> errors.ApiError:
    """What a write is told when SQLite can write no more."""
    store = Store(directory / "objects.db", disk=Refusing(directory, number))
    await store.open()

    def fail(*_: object) -> None:
        raise of_sqlite(WRITE)

    monkeypatch.setattr(store._rows, "insert", fail)
    with pytest.raises(errors.ApiError) as told:
        await put(store, "one")
    await store.close()
    return told.value


async def test_a_quota_that_is_used_up_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await written(tmp_path, QUOTA, monkeypatch)
    assert isinstance(error, errors.DiskFullError)
    assert f"the disk of {tmp_path} is full (Disk quota exceeded): free space" in str(error)


async def test_a_broken_disk_is_no_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await written(tmp_path, BROKEN, monkeypatch)
    assert (error.code, error.reason) == (503, "ServiceUnavailable")
    assert str(error).endswith(f"(disk I/O error): {files.REMEDIES[BROKEN]}")


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    assert Disk(tmp_path).probe() is None
    assert list(tmp_path.iterdir()) == []


def test_a_probe_tells_what_keeps_it_from_writing(tmp_path: Path) -> None:
    error = Disk(tmp_path / "nowhere").probe()
    assert error is not None
    assert error.errno == errno.ENOENT
