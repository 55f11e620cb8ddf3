"""A server with an adjustable clock, and sessions of its users."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.apiserver.access.kubeconfig_issuer import KubeconfigIssuer
from controller.apiserver.http.limits import Limits
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.store import Store
from tests.apiserver.state_directory import StateDirectory, written
from tests.support import command, kubeconfigs

CONFIG_MAPS = "/api/v1/namespaces/edge/configmaps"
CONFIG_MAP = {"metadata": {"name": "one"}, "data": {"secret": "of nobody's business"}}


class Clock:
    """A wall clock that tests can move ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    """The server's clock."""
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    made = Store(tmp_path / "objects.db")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def server(tmp_path: Path, clock: Clock) -> AsyncIterator[ApiServer]:
    """A started server without custom kinds that serves two requests at once."""
    server = ApiServer(tmp_path, "127.0.0.1", 0, [], "edge", clock, limits=Limits(in_flight=2, watches=1))
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, tmp_path / "kubeconfig")
    yield server
    await server.stop()


@asynccontextmanager
async def session(config: dict[str, Any]) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session with the credentials of a kubeconfig."""
    found = kubeconfigs.embedded(config)
    context = await asyncio.to_thread(found.ssl_context)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(found.url, connector=connector) as made:
        yield made


@asynccontextmanager
async def session_of(server: ApiServer, user: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of a user whose credentials the server stores."""
    async with session(await asyncio.to_thread(server.kubeconfig, user)) as made:
        yield made


@asynccontextmanager
async def issued(folder: Path, user: str, seconds: float, clock: Clock) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with an issued kubeconfig."""
    made = KubeconfigIssuer(folder, folder / "kubeconfig", clock)
    async with session(await asyncio.to_thread(made.make, user, seconds)) as http:
        yield http


async def status(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> int:
    """Send a request and return the status code."""
    async with http.request(method, path, json=body) as answer:
        return answer.status


async def kubectl(kubeconfig: Path, *arguments: str) -> str:
    """Run kubectl and return its output."""
    own = (str(Path(sys.executable).parent / "kubectl"), f"--kubeconfig={kubeconfig}")
    home = {"HOME": str(kubeconfig.parent)}
    return (await asyncio.to_thread(command.run, *own, *arguments, environment=home)).stdout


@pytest.fixture
def state_dir(tmp_path: Path) -> StateDirectory:
    """A state directory with objects and a backup taken before the last write."""
    return written(tmp_path / "state")


@pytest.fixture
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if the server logs an error: no client input may cause one."""
    yield
    faults = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not faults


@pytest.fixture
async def viewer(server: ApiServer, tmp_path: Path, clock: Clock) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with read-only rights."""
    async with issued(tmp_path, "viewer", 60, clock) as made:
        yield made


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with all rights."""
    async with session_of(server, "admin") as made:
        yield made
