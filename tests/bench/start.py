"""Section ``start``: from the start of the process to the API, and to the cloud."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator

from tests.bench import rows
from tests.bench.host import Host, host
from tests.bench.rows import Goal, Row
from tests.bench.section import Run, say
from tests.support.edge_host import AGENT
from tests.support.ports import free_port

POLL_SECONDS = 0.005
GIVE_UP_SECONDS = 60


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    port = free_port()
    async with host(run, EDGE_API_LISTEN=f"127.0.0.1:{port}") as ours:
        await ours.start()  # creates the database and the keys
        say(f"{run.counts.starts} starts")
        found = [await _start(ours, port) for _ in range(run.counts.starts)]
    ready, connected = (rows.median([one[place] for one in found]) for place in (0, 1))
    yield Row("start of the process to API ready", rows.SECONDS, ready, goal=Goal(0.35))
    yield Row("start of the process to connected", rows.SECONDS, connected, goal=Goal(0.5))


async def _start(ours: Host, port: int) -> tuple[float, float]:
    await ours.edge.close()
    began = time.perf_counter()
    await ours.start(connected=False)
    ready = asyncio.create_task(_ready(port))
    await ours.cloud.wait_agent(AGENT, timeout=GIVE_UP_SECONDS)
    connected = time.perf_counter() - began
    return await ready - began, connected


async def _ready(port: int) -> float:
    """When the API first answered that it is ready."""
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while not await _is_ready(port):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter()


async def _is_ready(port: int) -> bool:
    context = ssl._create_unverified_context()
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.readline()
        writer.close()
        return b" 200 " in answer
    return False
