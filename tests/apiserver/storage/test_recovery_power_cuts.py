"""Power cuts at every step of a rescue, a restore and a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller import __version__
from controller.apiserver.storage import database, recovery
from controller.apiserver.storage.archive import Archive
from controller.apiserver.storage.backups import Backups
from controller.state import INSTALL_ID, State
from tests.apiserver.box import Box
from tests.apiserver.storage.test_backups import damage, invoke
from tests.support import power_cut


@pytest.fixture
def pristine(box: Box) -> Box:
    """A box that can be brought back to how it was."""
    shutil.copytree(box.directory, box.directory.with_name("pristine"))
    return box


def reset(box: Box) -> None:
    """Back to how it was."""
    shutil.rmtree(box.directory)
    shutil.copytree(box.directory.with_name("pristine"), box.directory)


def test_a_power_cut_at_any_step_of_a_rescue_loses_neither_the_backup_nor_the_word(pristine: Box) -> None:
    box = pristine

    def damaged() -> None:
        reset(box)
        damage(box.path)

    cuts = 0
    for cuts in power_cut.at_every_step(damaged, lambda: recovery.prepare(box.path, box.backups, __version__)):
        assert not box.open_to_others()
        lost, names = box.start()
        assert (names, bool(lost)) == (["kept"], True), f"after step {cuts}"
    assert cuts > 10


def test_a_power_cut_at_any_step_of_a_restore_leaves_the_old_or_the_new(pristine: Box) -> None:
    box = pristine
    for number in power_cut.at_every_step(
        lambda: reset(box), lambda: Archive(box.directory, lambda: 0.0).restore(None, lambda _: None)
    ):
        assert not box.open_to_others()
        _, names = box.start()
        assert names in (["kept"], ["kept", "newer"]), f"after step {number}"
    assert names == ["kept"]


def test_a_file_that_the_power_left_empty_at_a_first_start_is_no_loss(tmp_path: Path) -> None:
    box = Box(tmp_path / "new")
    box.path.touch()
    assert box.start() == ("", [])


def test_a_power_cut_at_any_step_of_a_restore_on_a_new_host_leaves_no_objects_without_their_identity(
    box: Box, tmp_path: Path
) -> None:
    usb, new = tmp_path / "usb.db", tmp_path / "new"
    database.keep_facts(box.path, {INSTALL_ID: "plant-7"})
    database.copy(box.path, usb)

    def restore() -> None:
        invoke(new, "restore", str(usb))

    for number in power_cut.at_every_step(lambda: shutil.rmtree(new, ignore_errors=True), restore):
        path = new / "api" / "objects.db"
        recovery.prepare(path, Backups(new / "backups", lambda: 0.0), __version__)
        assert State(new).known_install_id() == "plant-7" or not path.exists(), f"after step {number}"
    assert database.is_sound(path)


def test_a_backup_is_ours_alone_from_its_first_byte(pristine: Box) -> None:
    box = pristine
    target = box.directory / "usb.db"
    for number in power_cut.at_every_step(
        lambda: reset(box), lambda: Archive(box.directory, lambda: 0.0).back_up(target)
    ):
        assert not box.open_to_others(), f"after step {number}"
    assert database.is_sound(target)
