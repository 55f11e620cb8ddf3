"""While the controller runs, only its process uses the database; others get a copy or an error with a remedy."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.apiserver.storage import copies, database
from controller.apiserver.storage.rows import Rows
from controller.disk import Disk
from controller.machinery.client import ApiClient
from tests.apiserver.state_directory import written
from tests.apiserver.storage.test_backups import create_lease, with_server
from tests.support import small_disk
from tests.support.small_disk import SmallDisk

CRASH = """
import os, signal, sys
from pathlib import Path
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.disk import Disk
rows = Rows(Path(sys.argv[1]), Disk(Path(sys.argv[1]).parent))
rows.insert([Row(rows.last + 1, Key("leases.coordination.k8s.io", "edge", "last"), False, "{}")])
os.kill(os.getpid(), signal.SIGKILL)
"""
READER = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT name FROM revisions'))"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """The disk of the state directory."""
    with small_disk.tmpfs(tmp_path / "disk") as made:
        yield made


@contextlib.contextmanager
def read_only_for_new_files(path: Path) -> Iterator[None]:
    """Make the file system read-only, although files are open for writing, as the kernel does after an I/O error."""
    small_disk.run("mount", "--bind", str(path), str(path))
    try:
        small_disk.run("mount", "-o", "remount,ro,bind", str(path))
        yield
    finally:
        small_disk.run("umount", str(path))


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def back_up(state_dir: Path, *target: Path) -> str:
    """Run ``edge-controller backup`` and return its output."""
    done = process("-m", "controller", "backup", *target, "--state-dir", state_dir)
    return done.stdout or done.stderr


def leases(backup: Path) -> list[str]:
    """The names of the Leases in a backup."""
    assert database.fault(backup) == ""
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM revisions WHERE resource LIKE 'leases.%'")]


async def test_the_running_controller_sends_a_backup_also_on_a_full_disk(disk: SmallDisk, tmp_path: Path) -> None:
    usb = tmp_path / "usb.db"

    async def work(api: ApiClient) -> None:
        await create_lease(api)
        await asyncio.to_thread(disk.fill)
        assert await asyncio.to_thread(back_up, disk.path, usb) == f"{usb}\n"

    await with_server(disk.path, work)
    assert await asyncio.to_thread(leases, usb) == ["kept"]
    assert usb.stat().st_mode & 0o777 == 0o600


async def test_the_running_controller_sends_a_backup_of_a_disk_that_became_read_only(
    disk: SmallDisk, tmp_path: Path
) -> None:
    usb = tmp_path / "usb.db"

    async def work(api: ApiClient) -> None:
        await create_lease(api)
        with read_only_for_new_files(disk.path):
            assert await asyncio.to_thread(back_up, disk.path, usb) == f"{usb}\n"

    await with_server(disk.path, work)
    assert await asyncio.to_thread(leases, usb) == ["kept"]


def test_a_backup_of_a_read_only_disk_holds_what_a_killed_controller_left_in_the_log(
    disk: SmallDisk, tmp_path: Path
) -> None:
    state, usb = written(disk.path), tmp_path / "usb.db"
    assert process("-c", CRASH, state.path).returncode == -signal.SIGKILL
    disk.read_only(True)
    assert back_up(disk.path, usb) == f"{usb}\n"
    assert leases(usb) == ["last"]


async def test_the_running_controller_sends_a_backup_for_the_folder_of_the_daily_ones(tmp_path: Path) -> None:
    taken: list[str] = []

    async def work(api: ApiClient) -> None:
        await create_lease(api)
        taken.extend([await asyncio.to_thread(back_up, tmp_path) for _ in range(2)])

    await with_server(tmp_path, work)
    first, second = (Path(line.strip()) for line in taken)
    assert [path.name[:14] for path in (first, second)] == ["objects-000001", "objects-000002"]
    assert await asyncio.to_thread(leases, second) == ["kept"]


def test_without_an_answer_the_error_names_a_remedy(tmp_path: Path) -> None:
    state = written(tmp_path)
    rows = Rows(state.path, Disk(tmp_path))  # as of a controller that has not started yet
    assert "wait until it has started, or stop what uses the database" in back_up(tmp_path, tmp_path / "usb.db")
    rows.close()
    assert not [path for path in tmp_path.iterdir() if "usb" in path.name]


def test_no_other_process_reads_an_open_database(tmp_path: Path) -> None:
    state = written(tmp_path)
    rows = Rows(state.path, Disk(tmp_path))
    # Also after other connections in this process were closed: closing a file ends the process's locks of it.
    copies.copy(state.path, tmp_path / "copy.db")
    assert database.fault(state.path) == ""
    assert "database is locked" in process("-c", READER, state.path).stderr
    rows.close()
    assert "newer" in process("-c", READER, state.path).stdout


def test_the_index_of_the_log_is_no_file(tmp_path: Path) -> None:
    state = written(tmp_path)
    names = ["objects.db", "objects.db-wal"]
    assert sorted(path.name for path in state.path.parent.iterdir()) == names
    state.path.with_name("objects.db-shm").write_bytes(b"of an earlier version")
    rows = Rows(state.path, Disk(tmp_path))
    assert sorted(path.name for path in state.path.parent.iterdir()) == names
    rows.close()
    state.start()
    assert sorted(path.name for path in state.path.parent.iterdir()) == names
