"""Starts with a damaged, missing or temporarily unavailable database."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import __version__, errors
from controller.apiserver.storage import copies, database, recovery
from tests.apiserver.state_directory import StateDirectory, written
from tests.apiserver.storage.test_backups import damage
from tests.support import small_disk

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
connection.execute("CREATE TABLE held (x)")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def on_small_disk(tmp_path: Path, inodes: int = 0) -> Iterator[tuple[StateDirectory, small_disk.SmallDisk]]:
    """A state directory on its own small file system."""
    with small_disk.tmpfs(tmp_path / "disk", size="16m", inodes=inodes) as disk:
        yield written(disk.path / "state"), disk


def failed_start(state_dir: StateDirectory) -> str:
    """Start, expect a failure that changes no file, and return its message."""
    before = state_dir.files()
    with pytest.raises(errors.SettingError) as raised:
        state_dir.start()
    after = state_dir.files()
    assert {name: after.get(name) for name in before if "-wal" not in name} == {
        name: number for name, number in before.items() if "-wal" not in name
    }
    assert not [name for name in after if "damaged" in name or "replaced" in name]
    return str(raised.value)


def test_a_start_on_a_full_disk_changes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (state_dir, disk):
        state_dir.forget_log()
        disk.fill()
        for _ in range(3):
            assert "objects.db" in failed_start(state_dir)
        disk.free()
        assert state_dir.start() == ("", ["kept", "newer"])


def test_a_start_on_a_full_disk_succeeds_with_the_kept_log(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (state_dir, disk):
        disk.fill()
        assert state_dir.start() == ("", ["kept", "newer"])


def test_a_start_without_free_inodes_changes_nothing(tmp_path: Path) -> None:
    with on_small_disk(tmp_path, inodes=60) as (state_dir, disk):
        state_dir.forget_log()
        disk.use_up_inodes()
        assert "inodes" in failed_start(state_dir)
        disk.free()
        assert state_dir.start() == ("", ["kept", "newer"])


def test_a_start_on_a_read_only_file_system_changes_nothing(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (state_dir, disk):
        state_dir.forget_log()
        disk.read_only(True)
        sentence = failed_start(state_dir)
        disk.read_only(False)
        assert "write" in sentence
        assert state_dir.start() == ("", ["kept", "newer"])


def test_a_start_without_file_descriptors_changes_nothing(state_dir: StateDirectory) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = state_dir.files()
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(errors.SettingError, match="open files"):
            recovery.prepare(state_dir.path, state_dir.backups, __version__)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert state_dir.files() == before
    assert state_dir.start() == ("", ["kept", "newer"])


def test_a_start_waits_for_the_lock_of_another_process(
    state_dir: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(state_dir.path)], stdin=-1, stdout=-1, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
        assert "another process" in failed_start(state_dir)
        monkeypatch.undo()
        threading.Timer(1.0, holder.kill).start()
        assert state_dir.start() == ("", ["kept", "newer"])


def test_a_missing_database_is_restored_from_a_backup_and_reported(state_dir: StateDirectory) -> None:
    state_dir.path.unlink()
    lost, names = state_dir.start()
    assert "missing: restored objects-000001" in lost
    assert names == ["kept"]


@pytest.mark.parametrize("why", ["damaged", "replaced"])
def test_a_missing_database_is_restored_from_a_newer_file_set_aside(state_dir: StateDirectory, why: str) -> None:
    database.set_aside(state_dir.path, f"objects.db.{why}-1")
    lost, names = state_dir.start()
    assert f"restored objects.db.{why}-1" in lost
    assert names == ["kept", "newer"]


def test_the_damage_that_release_0_1_did_on_a_full_disk_is_undone(state_dir: StateDirectory) -> None:
    state_dir.forget_log()
    database.set_aside(state_dir.path, "objects.db.damaged-1")
    for number in (2, 3):
        state_dir.path.with_name(f"objects.db.damaged-{number}").touch()
    state_dir.path.touch()
    lost, names = state_dir.start()
    assert "restored objects.db.damaged-1" in lost
    assert names == ["kept", "newer"]


def test_a_prepared_copy_is_put_in_place(state_dir: StateDirectory) -> None:
    copies.copy(state_dir.path, state_dir.path.with_name(".restored.db"))
    state_dir.path.unlink()
    state_dir.forget_log()
    lost, names = state_dir.start()
    assert "finished an interrupted restore" in lost
    assert names == ["kept", "newer"]


def test_a_first_start_reports_nothing(tmp_path: Path) -> None:
    assert StateDirectory(tmp_path / "new").start() == ("", [])


def test_a_missing_database_without_any_copy_is_reported(tmp_path: Path) -> None:
    state_dir = StateDirectory(tmp_path / "served")
    (state_dir.directory / "kubeconfig").touch()
    assert state_dir.start() == ("The database was missing and there is no backup: starting with an empty database", [])


def test_a_missing_database_without_a_readable_copy_is_reported(state_dir: StateDirectory) -> None:
    damage(state_dir.backups.all()[0].path)
    state_dir.path.unlink()
    state_dir.forget_log()
    lost, names = state_dir.start()
    assert "no other copy can be read (objects-000001" in lost
    assert names == []


def test_a_log_of_a_database_set_aside_is_not_replayed_into_the_next_one(state_dir: StateDirectory) -> None:
    state_dir.path.rename(state_dir.path.with_name("objects.db.replaced-1"))
    lost, names = state_dir.start()
    assert "restored objects.db.replaced-1" in lost
    assert names == ["kept", "newer"]
    assert state_dir.path.with_name("objects.db.replaced-1-wal").exists()


def test_a_log_belongs_to_the_file_set_aside_last_although_an_earlier_one_changed_since(
    state_dir: StateDirectory,
) -> None:
    earlier = state_dir.path.with_name("objects.db.replaced-1")
    earlier.touch()
    state_dir.path.rename(state_dir.path.with_name(database.free_name(state_dir.path, "damaged")))
    earlier.chmod(0o600)
    assert state_dir.start()[1] == ["kept", "newer"]
    assert state_dir.path.with_name("objects.db.damaged-2-wal").exists()


def test_a_file_set_aside_does_not_get_the_log_of_a_removed_one(state_dir: StateDirectory) -> None:
    stray = state_dir.path.with_name("objects.db.damaged-1-wal")
    stray.write_bytes(b"last writes")
    state_dir.forget_log()
    damage(state_dir.path)
    state_dir.start()
    assert stray.read_bytes() == b"last writes"
    assert state_dir.path.with_name("objects.db.damaged-2").exists()


def test_a_damaged_database_stays_in_place_while_the_disk_lacks_space_for_its_replacement(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (state_dir, disk):
        damage(state_dir.path)
        disk.fill()
        for _ in range(3):
            assert "MiB are needed" in failed_start(state_dir)
        disk.free()
        lost, names = state_dir.start()
        assert "damaged" in lost
        assert names == ["kept"]


def mark_older_version(state_dir: StateDirectory) -> None:
    """Mark the database as written by an earlier version."""
    database.keep_facts(state_dir.path, {recovery.VERSION: "0.0.1"})


def test_an_upgrade_without_its_backup_fails_with_a_remedy(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (state_dir, disk):
        mark_older_version(state_dir)
        disk.fill()
        assert "EDGE_UPGRADE_WITHOUT_BACKUP=true" in failed_start(state_dir)
        assert recovery.prepare(state_dir.path, state_dir.backups, __version__, backup_required=False) == ""
        assert [backup.note for backup in state_dir.backups.all()] == [""]


def test_a_foreign_database_is_replaced_by_a_backup(state_dir: StateDirectory) -> None:
    state_dir.path.unlink()
    state_dir.forget_log()
    sqlite3.connect(state_dir.path).execute("CREATE TABLE other (x)").connection.close()
    lost, names = state_dir.start()
    assert "restored objects-000001" in lost
    assert names == ["kept"]
