"""What the API does while its disk is full: it reports it once and frees space, and fills the reserve afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import names
from controller.apiserver.controllers.disk_full import FIRST_SECONDS, REFILL_ROUNDS, DiskFullController
from controller.apiserver.storage.store import Store
from controller.disk import Disk


class FakeDisk(Disk):
    """A disk that is full when a test says so."""

    shortage = ""

    def check(self) -> str:
        return self.shortage


class FakeStore(Store):
    """Counts the attempts to make room."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.done: list[str] = []

    async def compact(self) -> None:
        self.done.append("compact")

    async def refill(self) -> None:
        self.done.append("refill")


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    """A store that is not opened."""
    return FakeStore(tmp_path / "objects.db")


async def test_a_full_disk_is_reported_once_until_it_has_space_again(store: FakeStore, tmp_path: Path) -> None:
    disk, reported = FakeDisk(tmp_path), list[tuple[str, str]]()

    async def notify(reason: str, message: str) -> None:
        reported.append((reason, message))

    controller = DiskFullController(store, disk, notify)
    assert await controller.check() == FIRST_SECONDS
    assert store.done == [], "a start has other things to write"
    for shortage in ("full", "full", "", "full"):
        disk.shortage = shortage
        await controller.check()
    assert store.done == ["compact", "compact", "refill", "compact"]
    assert reported == [(names.DISK_FULL, "full")] * 2


async def test_the_reserve_is_filled_once_a_minute(store: FakeStore, tmp_path: Path) -> None:
    async def notify(reason: str, message: str) -> None:
        raise AssertionError(f"{reason}: {message}")

    controller = DiskFullController(store, FakeDisk(tmp_path), notify)
    for _ in range(1 + 2 * REFILL_ROUNDS):
        await controller.check()
    assert store.done == ["refill"] * 2
