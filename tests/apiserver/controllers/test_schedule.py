"""What the server does by itself goes by a clock that is never set; only certificates go by the time of day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import RELEASED
from controller.apiserver.access.pki import Pki
from controller.apiserver.controllers.daily_timer import DailyTimer
from controller.apiserver.controllers.schedule import ControllerSchedule
from controller.apiserver.storage.backups import DAY, Backups
from controller.apiserver.storage.store import Store
from tests.apiserver.storage.test_backups import empty
from tests.support import virtual_time

NOW = RELEASED.timestamp() + 100 * DAY
DECADES = 54 * 365 * DAY


class Box:
    """A host with a folder of backups, a time of day and a clock that is never set."""

    def __init__(self, tmp_path: Path, now: float) -> None:
        self.source = tmp_path / "objects.db"
        if not self.source.exists():
            empty(self.source)
        self.now, self.elapsed = now, 30.0
        self.backups = Backups(tmp_path / "backups", lambda: self.now)
        self.daily_timer = DailyTimer(self.backups, lambda: self.now, lambda: self.elapsed)

    def run(self, seconds: float) -> int:
        """Let time pass; how many backups were taken."""
        taken = 0
        for _ in range(int(seconds) // 600):
            self.now += 600
            self.elapsed += 600
            if self.daily_timer.is_due():
                self.backups.take(self.source)
                self.daily_timer.restart()
                taken += 1
        return taken


@pytest.mark.parametrize("step", [-DECADES, DECADES, -3600.0], ids=["decades back", "decades ahead", "an hour back"])
def test_a_clock_that_is_set_brings_no_backup_and_keeps_none_away(tmp_path: Path, step: float) -> None:
    box = Box(tmp_path, NOW)
    assert box.run(2 * 3600) == 1
    box.now += step
    assert box.run(21 * 3600) == 0
    box.now -= step
    assert box.run(2 * 3600) == 1


def test_a_box_that_boots_in_1970_takes_one_a_day_whenever_it_learns_the_time(tmp_path: Path) -> None:
    assert Box(tmp_path, NOW).run(600) == 1
    for boot in range(1, 5):
        box = Box(tmp_path, 0.0)
        assert box.run(600) == 0
        box.now = NOW + boot * DAY / 4
        assert box.run(600) == (1 if boot == 4 else 0)


def test_without_the_time_a_day_of_running_counts(tmp_path: Path) -> None:
    box = Box(tmp_path, 0.0)
    assert box.run(600) == 1, "there was none"
    box = Box(tmp_path, 0.0)
    assert box.run(DAY - 600) == 0
    assert box.run(600) == 1


class Rounds(ControllerSchedule):
    """Counts its rounds and does nothing else."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        super().__init__(Store(Path()), Pki(Path()), clock, self.once, lambda: None, elapsed)
        self.at: list[float] = []

    async def once(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


@pytest.mark.parametrize("step", [-DECADES, 0, DECADES])
def test_certificates_are_looked_at_at_once_when_the_clock_was_set(step: float) -> None:
    async def main() -> None:
        loop, set_by = asyncio.get_running_loop(), 0.0
        rounds = Rounds(lambda: NOW + loop.time() + set_by, loop.time)
        running = asyncio.create_task(rounds.run())
        await asyncio.sleep(11)
        set_by = step
        await asyncio.sleep(50)
        running.cancel()
        assert rounds.at == ([15] if step else [60])

    virtual_time.run(main())
