"""The resolver configuration of a process, whose root is not trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller import errors
from controller.network import resolver

PID = 7


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The resolv.conf of process 7 below a /proc of the test's own."""
    file = tmp_path / f"{PID}/root/etc/resolv.conf"
    file.parent.mkdir(parents=True)
    file.write_text("# a comment\nsearch plant\nnameserver 10.0.0.1\nnameserver\nnameserver  10.0.0.2 \n")
    return file


def test_name_servers_are_read_in_order(tmp_path: Path, configuration: Path) -> None:
    assert resolver.name_servers(PID, tmp_path) == ("10.0.0.1", "10.0.0.2")


def test_the_file_is_written_in_place(tmp_path: Path, configuration: Path) -> None:
    before = configuration.stat().st_ino

    resolver.write(PID, ["10.0.0.9"], tmp_path)

    assert resolver.name_servers(PID, tmp_path) == ("10.0.0.9",)
    assert configuration.stat().st_ino == before


def test_no_file_means_no_name_servers(tmp_path: Path) -> None:
    assert resolver.name_servers(PID, tmp_path) == ()


@pytest.mark.parametrize("trap", ["link to a file", "link to a folder", "named pipe"])
def test_nothing_outside_the_runtime_is_ever_written(tmp_path: Path, configuration: Path, trap: str) -> None:
    precious = tmp_path / "host/resolv.conf"
    precious.parent.mkdir()
    precious.write_text("nameserver 10.0.0.1\n")
    configuration.unlink()
    if trap == "link to a file":
        configuration.symlink_to(precious)
    elif trap == "link to a folder":
        configuration.parent.rmdir()
        configuration.parent.symlink_to(precious.parent)
    else:
        os.mkfifo(configuration)

    with pytest.raises(errors.Retry):
        resolver.write(PID, ["10.0.0.9"], tmp_path)

    assert resolver.name_servers(PID, tmp_path) == ()
    assert precious.read_text() == "nameserver 10.0.0.1\n"
