"""Classification of SQLite and system errors, and the resulting API errors."""

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


def sqlite_error(code: int) -> sqlite3.Error:
    """An SQLite error with this code."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


def system_error(number: int) -> OSError:
    """A system error with this number."""
    return OSError(number, os.strerror(number))


def probe_finding(number: int | None) -> Callable[[], OSError | None]:
    """A disk probe that returns this error."""
    return lambda: system_error(number) if number else None


SPACE, QUOTA, BROKEN = errno.ENOSPC, errno.EDQUOT, errno.EIO
WRITE, OPEN = sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN


@pytest.mark.parametrize(
    ("error", "probe", "full"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), probe_finding(None), True),
        (sqlite_error(WRITE), probe_finding(QUOTA), True),
        (sqlite_error(WRITE), probe_finding(SPACE), True),
        (sqlite_error(OPEN), probe_finding(QUOTA), True),
        (system_error(QUOTA), probe_finding(None), True),
        (system_error(SPACE), probe_finding(None), True),
        (sqlite_error(WRITE), probe_finding(BROKEN), False),
        (sqlite_error(WRITE), probe_finding(None), False),
        (system_error(BROKEN), probe_finding(QUOTA), False),
        (sqlite_error(sqlite3.SQLITE_BUSY), probe_finding(QUOTA), False),
    ],
)
def test_a_disk_without_space_or_quota_is_full(
    error: Exception, probe: Callable[[], OSError | None], full: bool
) -> None:
    assert sqlite_errors.is_full(sqlite_errors.underlying(error, probe)) is full


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (system_error(QUOTA), files.SPACE),
        (sqlite_error(sqlite3.SQLITE_FULL), files.SPACE),
        (system_error(BROKEN), files.REMEDIES[BROKEN]),
        (sqlite_error(WRITE), sqlite_errors.REMEDIES[sqlite3.SQLITE_IOERR]),
    ],
)
def test_each_error_has_a_remedy(error: Exception, remedy: str) -> None:
    assert sqlite_errors.remedy(error) == remedy


class UnwritableDisk(Disk):
    """A disk that rejects writes although its file system reports free space."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(directory)
        self._number = number

    def probe(self) -> OSError | None:
        """The error of a test write."""
        return system_error(self._number)


async def error_of_write(directory: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> errors.ApiError:
    """Write to a store whose SQLite fails; return the API error."""
    store = Store(directory / "objects.db", disk=UnwritableDisk(directory, number))
    await store.open()

    def fail(*_: object) -> None:
        raise sqlite_error(WRITE)

    monkeypatch.setattr(store._rows, "insert", fail)
    with pytest.raises(errors.ApiError) as raised:
        await put(store, "one")
    await store.close()
    return raised.value


async def test_a_used_up_quota_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await error_of_write(tmp_path, QUOTA, monkeypatch)
    assert isinstance(error, errors.DiskFullError)
    assert f"the disk of {tmp_path} is full (Disk quota exceeded): free space" in str(error)


async def test_a_broken_disk_is_not_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = await error_of_write(tmp_path, BROKEN, monkeypatch)
    assert (error.code, error.reason) == (503, "ServiceUnavailable")
    assert str(error).endswith(f"(disk I/O error): {files.REMEDIES[BROKEN]}")


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    assert Disk(tmp_path).probe() is None
    assert list(tmp_path.iterdir()) == []


def test_a_probe_returns_the_error_of_its_write(tmp_path: Path) -> None:
    error = Disk(tmp_path / "nowhere").probe()
    assert error is not None
    assert error.errno == errno.ENOENT
