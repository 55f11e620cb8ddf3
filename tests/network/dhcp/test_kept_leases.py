"""The number of leases on disk is bounded, independent of the time of day at which they were written."""

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
def test_no_lease_is_removed_because_of_the_time_of_day(tmp_path: Path, now: float) -> None:
    kept = {lease(tmp_path, "of-1970", 60.0), lease(tmp_path, "of-now", 1_799_000_000.0)}
    LeaseManager(tmp_path, wall=lambda: now)._prune()
    assert set(tmp_path.glob("*.json")) == kept


def test_the_least_recently_written_leases_beyond_the_limit_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_manager, "KEPT", 2)
    first, *others = [lease(tmp_path, str(number), 1_800_000_000.0 + number) for number in range(3)]
    LeaseManager(tmp_path)._prune()
    assert set(tmp_path.glob("*.json")) == set(others)
    assert not first.exists()


def test_pruning_a_missing_folder_does_nothing(tmp_path: Path) -> None:
    LeaseManager(tmp_path / "none")._prune()
    assert list(tmp_path.iterdir()) == []
