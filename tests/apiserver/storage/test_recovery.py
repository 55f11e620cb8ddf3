"""A start that finds its database damaged, missing, or not to be had now."""

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
from controller.apiserver.storage import database, recovery
from tests.apiserver.box import Box, written
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
def on_small_disk(tmp_path: Path, inodes: int = 0) -> Iterator[tuple[Box, small_disk.SmallDisk]]:
    """A box on a file system of its own."""
    with small_disk.tmpfs(tmp_path / "disk", size="16m", inodes=inodes) as disk:
        yield written(disk.path / "state"), disk


def refused(box: Box) -> str:
    """The sentence that a start ends with; nothing may have moved."""
    before = box.files()
    with pytest.raises(errors.SettingError) as raised:
        box.start()
    after = box.files()
    assert {name: after.get(name) for name in before if "-wal" not in name} == {
        name: number for name, number in before.items() if "-wal" not in name
    }
    assert not [name for name in after if "damaged" in name or "replaced" in name]
    return str(raised.value)


def test_a_start_on_a_full_disk_moves_nothing_and_all_is_there_afterwards(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (box, disk):
        box.forget_log()
        disk.fill()
        for _ in range(3):
            assert "objects.db" in refused(box)
        disk.free()
        assert box.start() == ("", ["kept", "newer"])


def test_a_start_on_a_full_disk_is_made_with_the_log_that_was_kept(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (box, disk):
        disk.fill()
        assert box.start() == ("", ["kept", "newer"])


def test_a_start_without_inodes_moves_nothing(tmp_path: Path) -> None:
    with on_small_disk(tmp_path, inodes=60) as (box, disk):
        box.forget_log()
        disk.use_up_inodes()
        assert "inodes" in refused(box)
        disk.free()
        assert box.start() == ("", ["kept", "newer"])


def test_a_start_on_a_read_only_file_system_moves_nothing(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (box, disk):
        box.forget_log()
        disk.read_only(True)
        sentence = refused(box)
        disk.read_only(False)
        assert "write" in sentence
        assert box.start() == ("", ["kept", "newer"])


def test_a_start_with_no_descriptor_left_moves_nothing(box: Box) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = box.files()
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(errors.SettingError, match="open files"):
            recovery.prepare(box.path, box.backups, __version__)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert box.files() == before
    assert box.start() == ("", ["kept", "newer"])


def test_a_lock_of_another_process_is_waited_for(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", LOCKER, str(box.path)], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
        assert "another process" in refused(box)
        monkeypatch.undo()
        threading.Timer(1.0, holder.kill).start()
        assert box.start() == ("", ["kept", "newer"])


def test_a_missing_database_beside_a_backup_is_restored_and_told(box: Box) -> None:
    box.path.unlink()
    lost, names = box.start()
    assert "missing: restored objects-000001" in lost
    assert names == ["kept"]


@pytest.mark.parametrize("why", ["damaged", "replaced"])
def test_a_missing_database_comes_back_from_what_was_set_aside_where_that_is_newer(box: Box, why: str) -> None:
    database.set_aside(box.path, f"objects.db.{why}-1")
    lost, names = box.start()
    assert f"restored objects.db.{why}-1" in lost
    assert names == ["kept", "newer"]


def test_what_release_0_1_made_of_a_full_disk_is_undone(box: Box) -> None:
    box.forget_log()
    database.set_aside(box.path, "objects.db.damaged-1")
    for number in (2, 3):
        box.path.with_name(f"objects.db.damaged-{number}").touch()
    box.path.touch()
    lost, names = box.start()
    assert "restored objects.db.damaged-1" in lost
    assert names == ["kept", "newer"]


def test_a_prepared_copy_is_put_in_place(box: Box) -> None:
    database.copy(box.path, box.path.with_name(".restored.db"))
    box.path.unlink()
    box.forget_log()
    lost, names = box.start()
    assert "finished an interrupted restore" in lost
    assert names == ["kept", "newer"]


def test_a_first_start_has_nothing_to_tell(tmp_path: Path) -> None:
    assert Box(tmp_path / "new").start() == ("", [])


def test_a_missing_database_of_which_nothing_is_left_is_told(tmp_path: Path) -> None:
    box = Box(tmp_path / "served")
    (box.directory / "kubeconfig").touch()
    assert box.start() == ("The database was missing and there is no backup: starting with an empty database", [])


def test_a_missing_database_of_which_nothing_can_be_read_is_told(box: Box) -> None:
    damage(box.backups.all()[0].path)
    box.path.unlink()
    box.forget_log()
    lost, names = box.start()
    assert "no other copy can be read (objects-000001" in lost
    assert names == []


def test_a_log_whose_database_was_just_set_aside_is_not_played_into_the_next(box: Box) -> None:
    box.path.rename(box.path.with_name("objects.db.replaced-1"))
    lost, names = box.start()
    assert "restored objects.db.replaced-1" in lost
    assert names == ["kept", "newer"]
    assert box.path.with_name("objects.db.replaced-1-wal").exists()


def test_a_damaged_database_stays_in_place_while_its_replacement_has_no_space(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (box, disk):
        damage(box.path)
        disk.fill()
        for _ in range(3):
            assert "MiB are needed" in refused(box)
        disk.free()
        lost, names = box.start()
        assert "damaged" in lost
        assert names == ["kept"]


def upgraded(box: Box) -> None:
    """The database is of an earlier version."""
    database.keep_facts(box.path, {recovery.VERSION: "0.0.1"})


def test_an_upgrade_whose_backup_cannot_be_taken_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with on_small_disk(tmp_path) as (box, disk):
        upgraded(box)
        disk.fill()
        assert "EDGE_UPGRADE_WITHOUT_BACKUP=true" in refused(box)
        assert recovery.prepare(box.path, box.backups, __version__, backup_required=False) == ""
        assert [backup.note for backup in box.backups.all()] == [""]


def test_a_database_that_is_not_ours_is_no_damage_either(box: Box) -> None:
    box.path.unlink()
    box.forget_log()
    sqlite3.connect(box.path).execute("CREATE TABLE other (x)").connection.close()
    lost, names = box.start()
    assert "restored objects-000001" in lost
    assert names == ["kept"]
