"""Periodic maintenance uses the monotonic clock; only certificates use the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import RELEASED, errors
from controller.apiserver.access.renewal import CertificateRenewal
from controller.apiserver.controllers.maintenance import DailyTimer, Maintenance
from controller.apiserver.storage.backups import DAY, Backups
from controller.apiserver.storage.store import Store
from tests.apiserver.storage.test_backups import empty_database
from tests.support import virtual_time

NOW = RELEASED.timestamp() + 100 * DAY
DECADES = 54 * 365 * DAY


class FakeHost:
    """A host with a backup folder, a wall clock and a monotonic clock."""

    def __init__(self, tmp_path: Path, now: float) -> None:
        self.source = tmp_path / "objects.db"
        if not self.source.exists():
            empty_database(self.source)
        self.now, self.elapsed = now, 30.0
        self.backups = Backups(tmp_path / "backups", lambda: self.now)
        self.daily_timer = DailyTimer(self.backups, lambda: self.now, lambda: self.elapsed)

    def run(self, seconds: float) -> int:
        """Advance both clocks; return how many backups were taken."""
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
def test_setting_the_clock_neither_triggers_nor_delays_a_backup(tmp_path: Path, step: float) -> None:
    host = FakeHost(tmp_path, NOW)
    assert host.run(2 * 3600) == 1
    host.now += step
    assert host.run(21 * 3600) == 0
    host.now -= step
    assert host.run(2 * 3600) == 1


def test_a_host_that_boots_in_1970_takes_one_backup_a_day_once_its_clock_is_set(tmp_path: Path) -> None:
    assert FakeHost(tmp_path, NOW).run(600) == 1
    for boot in range(1, 5):
        host = FakeHost(tmp_path, 0.0)
        assert host.run(600) == 0
        host.now = NOW + boot * DAY / 4
        assert host.run(600) == (1 if boot == 4 else 0)


def test_without_a_valid_clock_a_backup_is_due_after_a_day_of_uptime(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, 0.0)
    assert host.run(600) == 1, "no backup existed"
    host = FakeHost(tmp_path, 0.0)
    assert host.run(DAY - 600) == 0
    assert host.run(600) == 1


class Rounds(Maintenance):
    """Records the times of its rounds and does nothing else."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        super().__init__(Store(Path()), CertificateRenewal(Path()), clock, self.once, lambda: None, elapsed)
        self.at: list[float] = []

    async def once(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


@pytest.mark.parametrize("step", [-DECADES, 0, DECADES])
def test_certificates_are_checked_at_once_after_the_clock_was_set(step: float) -> None:
    async def main() -> None:
        loop, set_by = asyncio.get_running_loop(), 0.0
        rounds = Rounds(lambda: NOW + loop.time() + set_by, loop.time)
        running = asyncio.create_task(rounds.controller.run())
        await asyncio.sleep(11)
        set_by = step
        await asyncio.sleep(50)
        running.cancel()
        assert rounds.at == ([15] if step else [60])

    virtual_time.run(main())


@pytest.mark.parametrize("error", [OSError("no space"), errors.ApiUnavailableError("disk full")])
async def test_what_follows_a_renewal_is_repeated_until_it_succeeds(tmp_path: Path, error: Exception) -> None:
    store, failures, calls = Store(tmp_path / "objects.db"), [error], 0

    async def renewed() -> None:
        nonlocal calls
        calls += 1
        if failures:
            raise failures.pop()

    await store.open()
    maintenance = Maintenance(store, CertificateRenewal(tmp_path / "pki"), lambda: NOW, renewed, lambda: None)
    for _ in range(4):
        await maintenance.once()
    await store.close()
    assert calls == 2
