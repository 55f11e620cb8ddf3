"""The history over restarts: what is on disk, and what a damaged or slow disk does to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.metrics import archive
from controller.metrics.archive import Archive
from controller.metrics.history import HOUR, History, Sample
from controller.metrics.history_store import Keeper

NOW = 1_732_235_400  # half past an hour
SERIES = "device/edge/plc-1"


def files(directory: Path, pattern: str = "*.bin") -> list[Path]:
    """The files of all series whose names fit."""
    return sorted(directory.glob(f"*/{pattern}"))


class Run:
    """One life of the controller, as far as its history goes."""

    def __init__(self, directory: Path, now: float = NOW) -> None:
        self.now = now
        self.elapsed = 0.0
        self.history = History(clock=lambda: self.elapsed)
        self.keeper = Keeper(self.history, Archive(directory), clock=lambda: self.now)

    def record(self, start: int, end: int, name: str = SERIES) -> None:
        for moment in range(start, end, 5):
            self.history.record(name, Sample(moment, moment % 100, 512.5))

    def all(self, name: str = SERIES) -> list[Sample]:
        return self.history.query(name, 0, 2 * NOW)


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    made = Run(tmp_path)
    await made.keeper.load()
    yield made
    await made.keeper.stop()


async def test_a_restart_goes_on_with_the_history_of_the_run_before(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 2 * HOUR, NOW)
    before = run.all()
    await run.keeper.stop()

    after = Run(tmp_path, NOW + 10)
    after.record(NOW, NOW + 10)  # sampled before the archive was read
    await after.keeper.load()
    assert after.all() == [*before, (NOW, 0, 512.5), (NOW + 5, 5, 512.5)]
    await after.keeper.stop()


async def test_only_hours_that_are_over_are_written_while_running(run: Run, tmp_path: Path) -> None:
    run.record(NOW - HOUR, NOW)
    await run.keeper.save(finished_only=True)
    assert [path.name for path in files(tmp_path, "*")] == [f"{NOW // HOUR - 1}.bin"]


async def test_an_hour_is_written_once(run: Run, tmp_path: Path) -> None:
    run.record(NOW - HOUR, NOW)
    await run.keeper.save(finished_only=False)
    written = {path: path.stat().st_ino for path in files(tmp_path)}
    await run.keeper.save(finished_only=False)
    assert {path: path.stat().st_ino for path in files(tmp_path)} == written


async def test_hours_that_are_dropped_and_half_written_files_are_removed(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 10, NOW)
    await run.keeper.save(finished_only=False)
    (written,) = files(tmp_path)
    for leftover in (written.with_suffix(".tmp"), written.with_name(f".{written.name}.0a1b2c3d")):
        leftover.write_bytes(b"half")
    await run.keeper.save(finished_only=False)
    assert files(tmp_path, "*") == [written]
    run.elapsed += 48 * HOUR
    await run.keeper.save(finished_only=False)
    assert files(tmp_path, "") == []


@pytest.mark.parametrize("wrong", [0, 2 * NOW], ids=["1970", "2079"])
async def test_no_good_file_is_removed_because_the_clock_is_wrong(run: Run, tmp_path: Path, wrong: int) -> None:
    run.record(NOW - 10 * HOUR, NOW)
    await run.keeper.stop()
    before = set(files(tmp_path))

    after = Run(tmp_path, wrong + HOUR)
    await after.keeper.load()
    after.record(wrong + HOUR, wrong + HOUR + 60)
    await after.keeper.save(finished_only=False)
    assert before < set(files(tmp_path))
    await after.keeper.stop()


async def test_the_file_of_an_hour_that_moved_moves_too(run: Run, tmp_path: Path) -> None:
    run.record(HOUR, HOUR + 60)
    await run.keeper.save(finished_only=False)
    run.history.shift(SERIES, HOUR, HOUR + 60, NOW)
    before = run.all()
    await run.keeper.stop()
    assert [path.stem for path in files(tmp_path)] == [str((NOW + HOUR) // HOUR)]
    after = Run(tmp_path)
    await after.keeper.load()
    assert after.all() == before
    await after.keeper.stop()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content[:40] + bytes([content[40] ^ 255]) + content[41:],
        lambda content: b"something else",
        lambda content: content[:15] + b"\x00" * 100,
    ],
    ids=["empty", "cut", "flipped", "foreign", "zeros"],
)
async def test_a_damaged_file_costs_its_hour_and_a_line_in_the_log(
    run: Run, tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    run.record(NOW - HOUR, NOW)
    await run.keeper.stop()
    (damaged,) = files(tmp_path, f"{NOW // HOUR - 1}.bin")
    damaged.write_bytes(damage(damaged.read_bytes()))

    after = Run(tmp_path)
    await after.keeper.load()
    assert {sample.timestamp // HOUR for sample in after.all()} == {NOW // HOUR}
    assert caplog.text.count(str(damaged)) == 1
    await after.keeper.stop()


async def test_a_file_of_the_user_is_left_alone(run: Run, tmp_path: Path) -> None:
    note = tmp_path / "notes" / "readme.txt"
    note.parent.mkdir()
    note.write_text("mine")
    await run.keeper.save(finished_only=False)
    assert note.read_text() == "mine"


async def test_a_disk_that_takes_nothing_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "metrics"
    run = Run(blocked)
    await run.keeper.load()
    blocked.write_text("a file where the directory should be")
    run.record(NOW - 10, NOW)
    await run.keeper.save(finished_only=False)
    await run.keeper.save(finished_only=False)
    assert caplog.text.count("cannot be written") == 1
    blocked.unlink()
    await run.keeper.stop()
    assert len(files(blocked)) == 1


async def test_what_was_not_yet_read_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 10, NOW)
    before = run.all()
    await run.keeper.stop()

    killed = Run(tmp_path)
    killed.record(NOW, NOW + 5)
    await killed.keeper.stop()  # stopped before its load() came to an end

    after = Run(tmp_path)
    await after.keeper.load()
    assert after.all() == before
    await after.keeper.stop()


@pytest.mark.parametrize("name", ["device/../../etc", "device/.", "device/a/b", "device/ü€\x00"])
def test_no_series_name_leaves_the_directory(tmp_path: Path, name: str) -> None:
    history = History()
    history.record(name, Sample(NOW, 1, 1))
    hour = history.series()[name][NOW // HOUR]
    on_disk = Archive(tmp_path / "metrics")
    on_disk.write(name, hour.number, archive.pack(hour))
    assert len(files(tmp_path / "metrics")) == 1
    assert list(on_disk.load()) == [name]
