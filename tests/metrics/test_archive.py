"""The history across restarts, and with damaged files or a failing disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.metrics import archive
from controller.metrics.archive import Archive
from controller.metrics.history import HOUR, History, Sample
from controller.metrics.history_store import HistoryStore
from tests.support.edge_host import eventually

NOW = 1_732_235_400  # half past an hour
SERIES = "device/edge/plc-1"


def files(directory: Path, pattern: str = "*.bin") -> list[Path]:
    """List the history files that match the pattern."""
    return sorted(directory.glob(f"*/{pattern}"))


class Run:
    """The history part of one run of the controller."""

    def __init__(self, directory: Path, now: float = NOW) -> None:
        self.now = now
        self.elapsed = 0.0
        self.history = History(clock=lambda: self.elapsed)
        self.store = HistoryStore(self.history, Archive(directory), clock=lambda: self.now)

    def record(self, start: int, end: int, name: str = SERIES) -> None:
        for moment in range(start, end, 5):
            self.history.record(name, Sample(moment, moment % 100, 512.5))

    def all(self, name: str = SERIES) -> list[Sample]:
        return self.history.query(name, 0, 2 * NOW)


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    made = Run(tmp_path)
    await made.store.load()
    yield made
    await made.store.stop()


async def test_a_restart_continues_the_previous_history(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 2 * HOUR, NOW)
    before = run.all()
    await run.store.stop()

    after = Run(tmp_path, NOW + 10)
    after.record(NOW, NOW + 10)  # sampled before the archive was read
    await after.store.load()
    assert after.all() == [*before, (NOW, 0, 512.5), (NOW + 5, 5, 512.5)]
    await after.store.stop()


async def test_only_complete_hours_are_written_while_running(run: Run, tmp_path: Path) -> None:
    run.record(NOW - HOUR, NOW)
    await run.store.save(finished_only=True)
    assert [path.name for path in files(tmp_path, "*")] == [f"{NOW // HOUR - 1}.bin"]


async def test_an_hour_is_written_once(run: Run, tmp_path: Path) -> None:
    run.record(NOW - HOUR, NOW)
    await run.store.save(finished_only=False)
    written = {path: path.stat().st_ino for path in files(tmp_path)}
    await run.store.save(finished_only=False)
    assert {path: path.stat().st_ino for path in files(tmp_path)} == written


async def test_dropped_hours_and_partial_files_are_removed(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 10, NOW)
    await run.store.save(finished_only=False)
    (written,) = files(tmp_path)
    for leftover in (written.with_suffix(".tmp"), written.with_name(f".{written.name}.0a1b2c3d")):
        leftover.write_bytes(b"half")
    await run.store.save(finished_only=False)
    assert files(tmp_path, "*") == [written]
    run.elapsed += 48 * HOUR
    await run.store.save(finished_only=False)
    assert files(tmp_path, "") == []


@pytest.mark.parametrize("wrong", [0, 2 * NOW], ids=["1970", "2079"])
async def test_a_wrong_clock_removes_no_valid_file(run: Run, tmp_path: Path, wrong: int) -> None:
    run.record(NOW - 10 * HOUR, NOW)
    await run.store.stop()
    before = set(files(tmp_path))

    after = Run(tmp_path, wrong + HOUR)
    await after.store.load()
    after.record(wrong + HOUR, wrong + HOUR + 60)
    await after.store.save(finished_only=False)
    assert before < set(files(tmp_path))
    await after.store.stop()


async def test_the_file_of_a_shifted_hour_moves_too(run: Run, tmp_path: Path) -> None:
    run.record(HOUR, HOUR + 60)
    await run.store.save(finished_only=False)
    run.history.shift(SERIES, HOUR, HOUR + 60, NOW)
    before = run.all()
    await run.store.stop()
    assert [path.stem for path in files(tmp_path)] == [str((NOW + HOUR) // HOUR)]
    after = Run(tmp_path)
    await after.store.load()
    assert after.all() == before
    await after.store.stop()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content[:-1],
        lambda content: content[:40] + bytes([content[40] ^ 255]) + content[41:],
        lambda content: b"something else",
        lambda content: content[:15] + b"\x00" * 100,
    ],
    ids=["empty", "cut", "cut in its checksum", "flipped", "foreign", "zeros"],
)
async def test_a_damaged_file_loses_its_hour_and_is_logged(
    run: Run, tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    run.record(NOW - HOUR, NOW)
    await run.store.stop()
    (damaged,) = files(tmp_path, f"{NOW // HOUR - 1}.bin")
    damaged.write_bytes(damage(damaged.read_bytes()))

    after = Run(tmp_path)
    await after.store.load()
    assert {sample.timestamp // HOUR for sample in after.all()} == {NOW // HOUR}
    assert caplog.text.count(str(damaged)) == 1
    await after.store.stop()


async def test_a_foreign_file_is_left_alone(run: Run, tmp_path: Path) -> None:
    note = tmp_path / "notes" / "readme.txt"
    note.parent.mkdir()
    note.write_text("mine")
    await run.store.save(finished_only=False)
    assert note.read_text() == "mine"


async def test_a_failing_write_is_logged_once_and_retried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "metrics"
    run = Run(blocked)
    await run.store.load()
    blocked.write_text("a file where the directory should be")
    run.record(NOW - 10, NOW)
    await run.store.save(finished_only=False)
    await run.store.save(finished_only=False)
    assert caplog.text.count("Cannot write the metrics history") == 1
    blocked.unlink()
    await run.store.stop()
    assert len(files(blocked)) == 1


async def test_an_hour_that_is_not_loaded_yet_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    run.record(NOW - 10, NOW)
    before = run.all()
    await run.store.stop()

    killed = Run(tmp_path)
    killed.record(NOW, NOW + 5)
    await killed.store.stop()  # stopped before load() finished

    after = Run(tmp_path)
    await after.store.load()
    assert after.all() == before
    await after.store.stop()


@pytest.mark.parametrize("name", ["device/../../etc", "device/.", "device/a/b", "device/ü€\x00"])
def test_no_series_name_escapes_the_directory(tmp_path: Path, name: str) -> None:
    history = History()
    history.record(name, Sample(NOW, 1, 1))
    hour = history.series()[name][NOW // HOUR]
    on_disk = Archive(tmp_path / "metrics")
    on_disk.write(name, hour.number, archive.pack(hour))
    assert len(files(tmp_path / "metrics")) == 1
    assert list(on_disk.load()) == [name]


async def test_the_controller_loads_at_the_start_and_saves_each_complete_hour(run: Run, tmp_path: Path) -> None:
    run.record(NOW - HOUR, NOW)
    await run.store.stop()
    before = run.all()

    after = Run(tmp_path, NOW)
    running = asyncio.create_task(after.store.controller.run())
    await eventually(lambda: present(after.all() == before), "the history is loaded")
    after.record(NOW, NOW + 2 * HOUR)
    after.now += 2 * HOUR
    after.store.controller.trigger()  # in place of the time
    await eventually(lambda: present(files(tmp_path, f"{NOW // HOUR + 1}.bin")), "the complete hour is on disk")
    running.cancel()
    await after.store.stop()


async def present(found: object) -> object:
    return found
