"""Whether a file system has room: asked of a real one."""

from __future__ import annotations

from pathlib import Path

from controller import disk
from tests.support import small_disk


def test_a_disk_is_full_until_it_has_room_again(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "small", size="4m") as made:
        assert not disk.is_full(made.path)
        made.fill()
        assert disk.is_full(made.path)
        made.free()
        assert not disk.is_full(made.path)


def test_a_disk_without_inodes_is_full(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "small", size="4m", inodes=100) as made:
        made.use_up_inodes()
        assert disk.is_full(made.path)


def test_a_folder_that_is_not_there_is_not_full(tmp_path: Path) -> None:
    assert not disk.is_full(tmp_path / "nowhere")
