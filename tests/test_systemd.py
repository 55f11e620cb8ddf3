"""Notifications to systemd over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The service manager's socket, and its value of $NOTIFY_SOCKET."""
    name = str(tmp_path / "notify@1") if request.param == "path" else f"@edge-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
        end.bind("\0" + name[1:] if request.param == "abstract" else name)
        yield end, name


async def receive(end: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(end, 4096)


async def test_start_status_and_stop_are_reported(manager: tuple[socket.socket, str]) -> None:
    end, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("3 runtimes")
    notifier.status("4 runtimes")
    notifier.stopping()
    assert [await receive(end) for _ in range(3)] == [
        b"READY=1\nSTATUS=3 runtimes",
        b"STATUS=4 runtimes",
        b"STOPPING=1",
    ]


async def test_the_watchdog_is_fed_only_while_no_loop_is_stale(
    manager: tuple[socket.socket, str], caplog: pytest.LogCaptureFixture
) -> None:
    end, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_seconds == 0.002
    faults: list[str] = []
    await notifier.feed_watchdog(lambda: faults)
    assert await receive(end) == b"WATCHDOG=1"
    faults.append("sampler has been stuck for 20 s")
    for _ in range(3):
        await notifier.feed_watchdog(lambda: faults)
    with pytest.raises(BlockingIOError):
        end.recv(4096)
    assert caplog.text.count("sampler has been stuck for 20 s") == 1
    faults.clear()
    await notifier.feed_watchdog(lambda: faults)
    assert await receive(end) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "junk"}, {"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"}],
)
async def test_no_watchdog_of_another_process_is_fed(environment: dict[str, str]) -> None:
    await Notifier(environment).feed_watchdog(lambda: pytest.fail("nobody asked"))


async def test_without_systemd_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({}).ready("up")
    assert caplog.text == ""


async def test_a_missing_manager_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready("up")
    notifier.stopping()
    assert caplog.text.count("Cannot notify systemd") == 1
