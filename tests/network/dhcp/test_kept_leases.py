"""Leases on disk are bounded by their number; what the time of day was when they were written does not matter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.network.dhcp import lease_manager
from controller.network.dhcp.lease_manager import LeaseManager

DECADES = 54 * 365 * 86400.0


def lease(directory: Path, name: str, written: float) -> Path:
    path = directory / f"{name}.json"
    path.write_text("{}")
    os.utime(path, (written, written))
    return path


@pytest.mark.parametrize("now", [0.0, 1_800_000_000.0, 1_800_000_000.0 + DECADES], ids=["1970", "2027", "2081"])
def test_no_lease_goes_because_of_the_time_of_day(tmp_path: Path, now: float) -> None:
    kept = {lease(tmp_path, "of-1970", 60.0), lease(tmp_path, "of-now", 1_799_000_000.0)}
    LeaseManager(tmp_path, wall=lambda: now)._prune()
    assert set(tmp_path.glob("*.json")) == kept


def test_beyond_their_number_those_written_least_recently_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_manager, "KEPT", 2)
    first, *others = [lease(tmp_path, str(number), 1_800_000_000.0 + number) for number in range(3)]
    LeaseManager(tmp_path)._prune()
    assert set(tmp_path.glob("*.json")) == set(others)
    assert not first.exists()


def test_without_a_folder_there_is_nothing_to_do(tmp_path: Path) -> None:
    LeaseManager(tmp_path / "none")._prune()
    assert list(tmp_path.iterdir()) == []
