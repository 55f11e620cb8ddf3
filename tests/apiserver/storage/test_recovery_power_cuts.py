"""Power cuts at every step of a recovery, a restore and a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller import __version__
from controller.apiserver.storage import copies, database, recovery
from controller.apiserver.storage.archive import Archive
from controller.apiserver.storage.backups import Backups
from controller.state import INSTALL_ID, State
from tests.apiserver.state_directory import StateDirectory
from tests.apiserver.storage.test_backups import damage, invoke
from tests.support import power_cut


@pytest.fixture
def pristine(state_dir: StateDirectory) -> StateDirectory:
    """A state directory with a copy for ``reset``."""
    shutil.copytree(state_dir.directory, state_dir.directory.with_name("pristine"))
    return state_dir


def reset(state_dir: StateDirectory) -> None:
    """Restore the copy of the state directory."""
    shutil.rmtree(state_dir.directory)
    shutil.copytree(state_dir.directory.with_name("pristine"), state_dir.directory)


def test_a_power_cut_at_any_step_of_a_recovery_loses_neither_the_backup_nor_the_report(
    pristine: StateDirectory,
) -> None:
    state_dir = pristine

    def damaged() -> None:
        reset(state_dir)
        damage(state_dir.path)

    cuts = 0
    for cuts in power_cut.at_every_step(
        damaged, lambda: recovery.prepare(state_dir.path, state_dir.backups, __version__)
    ):
        assert not state_dir.readable_by_others()
        lost, names = state_dir.start()
        assert (names, bool(lost)) == (["kept"], True), f"after step {cuts}"
    assert cuts > 10


def test_a_power_cut_at_any_step_of_a_restore_leaves_the_old_or_the_new_database(pristine: StateDirectory) -> None:
    state_dir = pristine
    for number in power_cut.at_every_step(
        lambda: reset(state_dir), lambda: Archive(state_dir.directory, lambda: 0.0).restore(None, lambda _: None)
    ):
        assert not state_dir.readable_by_others()
        _, names = state_dir.start()
        assert names in (["kept"], ["kept", "newer"]), f"after step {number}"
    assert names == ["kept"]


def test_an_empty_file_left_by_a_power_cut_at_the_first_start_is_no_loss(tmp_path: Path) -> None:
    state_dir = StateDirectory(tmp_path / "new")
    state_dir.path.touch()
    assert state_dir.start() == ("", [])


def test_a_power_cut_at_any_step_of_a_restore_on_a_new_host_never_separates_objects_from_their_identity(
    state_dir: StateDirectory, tmp_path: Path
) -> None:
    usb, new = tmp_path / "usb.db", tmp_path / "new"
    database.keep_facts(state_dir.path, {INSTALL_ID: "plant-7"})
    copies.copy(state_dir.path, usb)

    def restore() -> None:
        invoke(new, "restore", str(usb))

    for number in power_cut.at_every_step(lambda: shutil.rmtree(new, ignore_errors=True), restore):
        path = new / "api" / "objects.db"
        recovery.prepare(path, Backups(new / "backups", lambda: 0.0), __version__)
        assert State(new).known_install_id() == "plant-7" or not path.exists(), f"after step {number}"
    assert database.is_sound(path)


def test_a_backup_is_private_from_its_first_byte(pristine: StateDirectory) -> None:
    state_dir = pristine
    target = state_dir.directory / "usb.db"
    for number in power_cut.at_every_step(
        lambda: reset(state_dir), lambda: Archive(state_dir.directory, lambda: 0.0).back_up(target, list)
    ):
        assert not state_dir.readable_by_others(), f"after step {number}"
    assert database.is_sound(target)
