"""A frozen cloud with open TCP connections: the link detects it, disconnects, and reconnects when it resumes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from controller.cloud.identity import Identity
from controller.localcloud.authority import Authority as LocalAuthority
from controller.localcloud.client import Client
from tests.support.certificates import Authority
from tests.support.descriptors import opened
from tests.support.links import RunningLink, echo, identity_in
from tests.support.wire import WireCloud

AGENT = "07048933"


class CloudProcess:
    """The local cloud as a process that can be frozen."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self.client = Client(directory)
        self._process = process

    def freeze(self) -> None:
        """Stop it without closing connections, like a hung host or a cut cable."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
async def cloud_process(tmp_path: Path) -> AsyncIterator[CloudProcess]:
    """``edge-controller cloud serve``."""
    directory = tmp_path / "c"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controller", "cloud", "serve", "--dir", str(directory), "--listen", "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    first_line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    url = next(word.rstrip(";") for word in first_line.split() if word.startswith("https://"))
    yield CloudProcess(directory, process, url)
    process.send_signal(signal.SIGCONT)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.fixture
async def load_identity(cloud_process: CloudProcess, tmp_path: Path) -> Callable[[], Identity]:
    """Loads an identity that the process accepts."""
    folder = await asyncio.to_thread(lambda: LocalAuthority(tmp_path / "c").enroll(AGENT))
    return identity_in(folder)


async def _exchange_commands(cloud: CloudProcess) -> None:
    """Exchange two commands: the first heartbeat is sent before their answers, so it is acknowledged by then."""
    for _ in range(2):
        await cloud.client.send(AGENT, "any", {}, 10)


async def test_an_idle_link_to_a_frozen_cloud_is_closed_and_reconnected(
    cloud_process: CloudProcess, load_identity: Callable[[], Identity]
) -> None:
    async with RunningLink(cloud_process.url, load_identity, interval=1, connect_seconds=1) as agent:
        await agent.connected()
        await _exchange_commands(cloud_process)
        cloud_process.freeze()
        state = await agent.until(lambda state: state.last_error)
        assert "acknowledged none of the last 2 heartbeats" in str(state.last_error)
        await agent.until(lambda state: "does not answer in time" in str(state.last_error))
        cloud_process.thaw()
        await agent.connected(times=2)


async def test_a_busy_link_to_a_frozen_cloud_is_closed_and_reconnected(
    cloud_process: CloudProcess, load_identity: Callable[[], Identity]
) -> None:
    gate = asyncio.Event()
    begun: asyncio.Queue[str] = asyncio.Queue()

    async def large(event: str, arguments: list[Any]) -> dict[str, Any]:
        if event != "large":
            return await echo(event, arguments)
        begun.put_nowait(event)
        await gate.wait()
        return {"action": event, "body": "x" * 800_000}

    before = opened("socket:")
    others = asyncio.all_tasks()
    async with RunningLink(cloud_process.url, load_identity, large, interval=1, connect_seconds=1) as agent:
        await agent.connected()
        await _exchange_commands(cloud_process)
        sends = [asyncio.create_task(cloud_process.client.send(AGENT, "large", {}, 60)) for _ in range(40)]
        for _ in sends:
            await begun.get()
        cloud_process.freeze()
        gate.set()
        await agent.until(lambda state: not state.connected)
        await agent.until(lambda state: state.attempts >= 2)
        cloud_process.thaw()
        await agent.connected(times=2)
        for send in sends:
            send.cancel()
        await asyncio.wait(sends)
    assert asyncio.all_tasks() - others == set()
    assert opened("socket:") <= before


async def test_stopping_the_link_to_a_frozen_cloud_leaves_no_socket_open(
    cloud_process: CloudProcess, load_identity: Callable[[], Identity]
) -> None:
    before = opened("socket:")
    async with RunningLink(cloud_process.url, load_identity, interval=3600) as agent:
        await agent.connected()
        cloud_process.freeze()
    assert opened("socket:") <= before


@pytest.mark.parametrize(
    ("interval", "times"), [(3600, 2), (0.05, 3)], ids=["nothing acknowledged yet", "in the moment of a heartbeat"]
)
async def test_a_frozen_cloud_is_detected_by_its_missing_pings(
    certificates: Authority, load_wire_identity: Callable[[], Identity], interval: float, times: int
) -> None:
    async with (
        WireCloud(certificates, ping_interval=0.1, ping_timeout=0.1) as wire,
        RunningLink(wire.url, load_wire_identity, interval=interval) as agent,
    ):
        await agent.connected(times=times)
