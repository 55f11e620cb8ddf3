"""Detects a full disk on a real file system."""

from __future__ import annotations

import sys
from pathlib import Path

from controller import disk
from tests.support import small_disk
from tests.support.command import run


def test_a_disk_is_full_until_it_has_room_again(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "small", size="4m") as made:
        assert not disk.is_full(made.path)
        made.fill()
        assert disk.is_full(made.path)
        made.free()
        assert not disk.is_full(made.path)


def test_a_disk_without_free_inodes_is_full(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "small", size="4m", inodes=100) as made:
        made.use_up_inodes()
        assert disk.is_full(made.path)


def test_a_missing_folder_is_not_full(tmp_path: Path) -> None:
    assert not disk.is_full(tmp_path / "nowhere")


def test_a_folder_is_checked_on_the_host_from_inside_a_container(tmp_path: Path) -> None:
    folder, ask = tmp_path / "docker", tmp_path / "ask.py"
    folder.mkdir()
    ask.write_text(f"import pathlib, controller.disk as d; print(d.is_full(pathlib.Path('{folder}')))")
    # The first process of the namespace plays the host; its child sees another disk at the same path.
    container = f"umount {folder}; {sys.executable} {ask}"
    host = f"mount -t tmpfs -o size=512k tmpfs {folder}; unshare --mount sh -c '{container}'; exit $?"

    found = run("unshare", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", host)

    assert found.stdout == "True\n"
