"""A bare Socket.IO client that acknowledges each event at once: what the link itself costs, on both sides.

A process of its own, as a controller is: ``python -m tests.bench.bare_client URL CERTIFICATES``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import socketio

from controller.localcloud.server import Cloud

NAME = "bare-client"


class BareClient:
    """The running client, as its cloud sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def answer_seconds(self, topic: str, message: dict[str, Any]) -> float:
        """Seconds until the answer to a message."""
        began = time.perf_counter()
        await self._cloud.send(NAME, topic, message)
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def bare_client(cloud: Cloud) -> AsyncIterator[BareClient]:
    """Connect a client to this cloud."""
    command = ("setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.bench.bare_client")
    process = await asyncio.create_subprocess_exec(*command, cloud.url, str(await cloud.enroll(NAME)))
    try:
        await cloud.wait_agent(NAME)
        yield BareClient(cloud)
    finally:
        process.kill()
        await process.wait()


async def _serve(url: str, certificates: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.load_cert_chain(certificates / "client.crt", certificates / "client.key")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        client.on("*", _acknowledge)
        await client.connect(url, transports=["websocket"])
        await client.wait()


async def _acknowledge(topic: str, message: dict[str, Any]) -> dict[str, Any]:
    return {"status": "creating", "action": topic, "correlation_id": message["correlation_id"]}


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
