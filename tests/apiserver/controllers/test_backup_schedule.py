"""The daily backup and its need for disk space."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.apiserver.controllers.maintenance import BackupSchedule, DailyTimer
from controller.apiserver.storage.backups import Backups
from controller.disk import Disk
from tests.apiserver.storage.test_backups import empty_database
from tests.support import small_disk
from tests.support.small_disk import SmallDisk

NOW = 1_900_000_000.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk."""
    with small_disk.tmpfs(tmp_path / "disk", size="8m") as made:
        yield made


@pytest.fixture
def backups(disk: SmallDisk) -> Backups:
    """The backups on it."""
    return Backups(disk.path / "backups", lambda: NOW)


@pytest.fixture
def back_up(disk: SmallDisk, backups: Backups) -> Callable[[], None]:
    """The periodic call; a backup is due."""
    database = empty_database(disk.path / "objects.db")
    return BackupSchedule(database, backups, DailyTimer(backups, lambda: NOW, lambda: NOW), Disk(disk.path))


def test_a_backup_that_would_fill_the_disk_is_skipped_and_logged_once(
    disk: SmallDisk, backups: Backups, back_up: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    (disk.path / "other").write_bytes(b"\1" * (5 << 20))
    for _ in range(3):
        back_up()
    assert backups.all() == []
    assert [record.levelno for record in caplog.records if "Cannot take" in record.message] == [logging.WARNING]
    (disk.path / "other").unlink()
    back_up()
    assert len(backups.all()) == 1


def test_no_backup_is_attempted_or_logged_on_a_full_disk(
    disk: SmallDisk, backups: Backups, back_up: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    disk.fill()
    back_up()
    assert backups.all() == []
    assert not [record for record in caplog.records if "Cannot take" in record.message]
    disk.free()
    back_up()
    assert len(backups.all()) == 1
