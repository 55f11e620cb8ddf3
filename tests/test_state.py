"""The state directory: written atomically, private, and stable across restarts."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from controller import errors
from controller.state import State
from tests.support import small_disk


def test_the_install_id_is_the_first_agent_id_and_then_fixed(tmp_path: Path) -> None:
    assert State(tmp_path).install_id("07048933") == "07048933"
    assert State(tmp_path).install_id("99999999") == "07048933"
    assert State(tmp_path).install_id() == "07048933"


def test_an_install_id_generated_without_a_certificate_is_kept(tmp_path: Path) -> None:
    made = State(tmp_path).install_id(None)
    assert made
    assert State(tmp_path).install_id("07048933") == made


def test_two_installations_have_two_ids(tmp_path: Path) -> None:
    assert State(tmp_path / "a").install_id() != State(tmp_path / "b").install_id()


def test_the_node_keeps_the_name_of_its_first_start(tmp_path: Path) -> None:
    assert State(tmp_path).node_name("plant-1") == "plant-1"
    assert State(tmp_path).node_name("renamed") == "plant-1"


def test_retirement_lasts_until_a_reset(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert not state.retired
    state.retire()
    assert State(tmp_path).retired
    assert state.reset()
    assert not State(tmp_path).retired
    assert not state.reset()


def test_files_and_directory_are_private(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.write("secret", "text")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["secret"]


def test_readable_files_of_earlier_versions_are_made_private(tmp_path: Path) -> None:
    for name in ("api/pki", "backups"):
        (tmp_path / name).mkdir(parents=True, mode=0o755)
    files = [tmp_path / name for name in ("api/.restored.db", "api/pki/ca.key", "backups/.usb.db.partial")]
    for file in files:
        file.touch(mode=0o644)
    tmp_path.chmod(0o755)
    State(tmp_path).tighten()
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    folders = [tmp_path, *(tmp_path / name for name in ("api", "api/pki", "backups"))]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_a_full_disk_is_reported_with_its_remedy(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "disk", inodes=40) as disk:
        disk.use_up_inodes()
        with pytest.raises(errors.SettingError, match=r"EDGE_STATE_DIR .*free space"), State(disk.path).lock():
            pass
        disk.free()
        with State(disk.path).lock():
            pass


def test_an_empty_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "install-id").write_text("\n")
    assert State(tmp_path).install_id("07048933") == "07048933"


def test_a_directory_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.SettingError, match="EDGE_STATE_DIR"), State(tmp_path / "file" / "state").lock():
        pass


def hold(directory: Path, held: multiprocessing.synchronize.Event, end: multiprocessing.synchronize.Event) -> None:
    """Another controller."""
    with State(directory).lock():
        held.set()
        end.wait(10)


def test_a_second_controller_on_the_same_state_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, held, end))
    other.start()
    try:
        assert held.wait(10)
        with pytest.raises(errors.SettingError, match="another edge-controller"), State(tmp_path).lock():
            pass
    finally:
        end.set()
        other.join(10)
    with State(tmp_path).lock():
        pass


def test_only_our_own_files_are_removed(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.install_id("07048933")
    state.retire()
    (tmp_path / "api").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "photos").mkdir()

    state.forget()

    assert {path.name for path in tmp_path.iterdir()} == {"retired", "notes.txt", "photos"}
