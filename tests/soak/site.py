"""The host of a run: an engine with live-restore, a LAN with DHCP, a cloud, a small disk and a clock."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests

from controller.localcloud.server import Cloud
from tests.soak.findings import Findings
from tests.soak.relay import Relay
from tests.soak.supervisor import Supervisor
from tests.support import image, small_disk
from tests.support.dhcp_server import DhcpServer
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost
from tests.support.fake_clock import FakeClock
from tests.support.lan import Lan
from tests.support.ports import free_port
from tests.support.small_disk import SmallDisk

ENGINE_SECONDS = 180  # an engine that hangs, is killed or stopped is back long before
DISK = "96M"
Found = TypeVar("Found")


@dataclass
class Site:
    """Everything around one controller.

    ``lan_since`` is from when on runtimes answer on the LAN, None while its cable is out; ``spared_until`` is until
    when the controller is not killed. Both as CLOCK_MONOTONIC.
    """

    engine: Engine
    lan: Lan
    dhcp: DhcpServer
    cloud: Cloud
    relay: Relay
    edge: EdgeHost
    controller: Supervisor
    disk: SmallDisk
    clock: FakeClock
    docker: Any
    findings: Findings
    api_port: int
    status_port: int
    lan_since: float | None
    spared_until: float = 0.0

    async def ask(self, question: Callable[[Any], Found]) -> Found:
        """Ask the engine with its low-level client, as often as it takes while faults keep it away."""
        deadline = time.monotonic() + ENGINE_SECONDS
        while True:
            try:
                return await asyncio.to_thread(question, self.docker)
            except docker.errors.NotFound:
                raise
            except (docker.errors.APIError, requests.RequestException):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def site(findings: Findings, log: Path) -> AsyncIterator[Site]:
    """A host whose controller is kept running; all but its ``log`` is removed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-soak-")))
        engine = stack.enter_context(Engine(options=("--live-restore",)))
        lan = stack.enter_context(Lan())
        disk = stack.enter_context(small_disk.ext4(folder / "disk", DISK))
        dhcp = stack.enter_context(DhcpServer(lan, folder, first=200, last=250))
        client = stack.enter_context(contextlib.closing(engine.client()))
        image.load(client, image.runtime_images())
        cloud = Cloud(folder / "cloud")
        await cloud.start()
        stack.push_async_callback(cloud.stop)
        relay = await stack.enter_async_context(Relay(cloud.port))
        clock = FakeClock(folder)
        edge = EdgeHost(folder, engine.url, cloud, await cloud.enroll(AGENT), image.REPOSITORY, "1")
        edge.state, edge.log = disk.path / "state", log
        api_port, status_port = free_port(), free_port()
        edge.environment |= {
            "EDGE_CLOUD_URL": f"https://localhost:{relay.port}",
            "EDGE_STATE_DIR": str(edge.state),
            "EDGE_API_LISTEN": f"127.0.0.1:{api_port}",
            "EDGE_HTTP_LISTEN": f"127.0.0.1:{status_port}",
        }
        controller = Supervisor(edge, clock.wrapper, findings)
        running = asyncio.create_task(controller.run())
        stack.push_async_callback(_end, running)
        found = Site(
            engine,
            lan,
            dhcp,
            cloud,
            relay,
            edge,
            controller,
            disk,
            clock,
            client.api,
            findings,
            api_port,
            status_port,
            time.monotonic(),
        )
        await cloud.wait_agent(AGENT, timeout=60)
        yield found


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
