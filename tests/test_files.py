"""Small private files survive a power cut, and a failure leaves the previous file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller import files


def test_file_and_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    files.write_secret(tmp_path / "one", b"secret")
    assert (synced[0].parent, synced[1:]) == (tmp_path, [tmp_path])
    assert synced[0].name.startswith(".one.")
    assert files.is_secret(tmp_path / "one", b"secret")
    assert list(tmp_path.iterdir()) == [tmp_path / "one"]


def test_a_failed_write_leaves_the_previous_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_secret(tmp_path / "one", b"before")

    def failing(_: int) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="input/output error"):
        files.write_secret(tmp_path / "one", b"after")
    assert list(tmp_path.iterdir()) == [tmp_path / "one"]
    assert files.is_secret(tmp_path / "one", b"before")


@pytest.mark.parametrize(("content", "mode"), [(b"other", 0o600), (b"secret", 0o644)])
def test_another_content_or_mode_is_no_secret(tmp_path: Path, content: bytes, mode: int) -> None:
    path = tmp_path / "one"
    assert not files.is_secret(path, b"secret")
    path.write_bytes(content)
    path.chmod(mode)
    assert not files.is_secret(path, b"secret")
