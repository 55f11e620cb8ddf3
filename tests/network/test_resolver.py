"""The resolver configuration of a process with an untrusted root."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.container_root import Process
from controller.network import resolver

PROCESS = Process(7, "c0ffee")

_HOLD_A_LEASE = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's request to release the lease
fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The resolv.conf of process 7 in a fake /proc."""
    file = tmp_path / "7/root/etc/resolv.conf"
    file.parent.mkdir(parents=True)
    (tmp_path / "7/cgroup").write_text("0::/docker/c0ffee\n")
    file.write_text("# a comment\nsearch plant\nnameserver 10.0.0.1\nnameserver\nnameserver  10.0.0.2 \n")
    return file


@pytest.fixture
def holder(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that holds a file lease on the configuration."""
    with subprocess.Popen([sys.executable, "-c", _HOLD_A_LEASE, configuration], stdout=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stdout.readline() == b"held\n"
        yield started
        started.kill()


def test_name_servers_are_read_in_order(tmp_path: Path, configuration: Path) -> None:
    assert resolver.name_servers(PROCESS, tmp_path) == ("10.0.0.1", "10.0.0.2")


def test_the_file_is_written_in_place(tmp_path: Path, configuration: Path) -> None:
    before = configuration.stat().st_ino

    resolver.write(PROCESS, ["10.0.0.9"], tmp_path)

    assert resolver.name_servers(PROCESS, tmp_path) == ("10.0.0.9",)
    assert configuration.stat().st_ino == before


def test_without_the_file_there_are_no_name_servers(tmp_path: Path) -> None:
    assert resolver.name_servers(PROCESS, tmp_path) == ()


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
        resolver.write(PROCESS, ["10.0.0.9"], tmp_path)

    assert resolver.name_servers(PROCESS, tmp_path) == ()
    assert precious.read_text() == "nameserver 10.0.0.1\n"


def test_a_reused_process_id_is_another_process(tmp_path: Path, configuration: Path) -> None:
    (tmp_path / "7/cgroup").write_text("0::/init.scope\n")
    with pytest.raises(errors.Retry, match="is not the container's"):
        resolver.write(PROCESS, ["10.0.0.9"], tmp_path)
    assert "10.0.0.1" in configuration.read_text()


def test_new_name_servers_are_written_before_the_old_ones_are_truncated(
    tmp_path: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: int) -> None:
        raise OSError(5, "the power went")

    monkeypatch.setattr(os, "ftruncate", crash)
    with pytest.raises(errors.Retry, match="the power went"):
        resolver.write(PROCESS, ["10.0.0.9"], tmp_path)
    assert resolver.name_servers(PROCESS, tmp_path)[0] == "10.0.0.9"


def test_a_device_in_place_of_the_file_is_not_opened(
    tmp_path: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Opening a device can have effects: a watchdog reboots the host.
    configuration.unlink()
    os.mknod(configuration, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    opened, really_open = [], os.open

    def watched(path: Any, flags: int, *arguments: Any, **more: Any) -> int:
        descriptor = really_open(path, flags, *arguments, **more)
        if not flags & os.O_PATH:
            opened.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    assert resolver.name_servers(PROCESS, tmp_path) == ()
    with pytest.raises(errors.Retry, match="not a regular file"):
        resolver.write(PROCESS, ["10.0.0.9"], tmp_path)
    assert set(opened) == {"cgroup"}


def test_a_file_lease_held_by_the_runtime_does_not_block(
    tmp_path: Path, configuration: Path, holder: subprocess.Popen[bytes]
) -> None:
    assert resolver.name_servers(PROCESS, tmp_path) == ()
    with pytest.raises(errors.Retry, match="temporarily unavailable"):
        resolver.write(PROCESS, ["10.0.0.9"], tmp_path)
    assert holder.poll() is None
    holder.kill()
    holder.wait()
    assert resolver.name_servers(PROCESS, tmp_path)[0] == "10.0.0.1"
