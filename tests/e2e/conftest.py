"""One host per test: a running controller, the local cloud, and the session's Docker engine, which can be suspended."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest

from controller.localcloud.server import Cloud
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected


@pytest.fixture
def docker_api(docker_client: docker.DockerClient) -> Any:
    """The low-level client of the engine's API."""
    return docker_client.api


@pytest.fixture
async def edge(tmp_path: Path, engine: Engine, runtime_image: str, cloud: Cloud) -> AsyncIterator[EdgeHost]:
    """A host with a connected controller."""
    host = EdgeHost(tmp_path, engine.url, cloud, await cloud.enroll(AGENT), runtime_image, "1")
    async with connected(host) as edge:
        yield edge


class Probe:
    """A client of the status port."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        async with aiohttp.ClientSession() as session, session.get(self._base + path) as answer:
            return answer.status, await answer.text()


@contextlib.contextmanager
def hanging(engine: Engine) -> Iterator[None]:
    """Suspend the engine with SIGSTOP, so that it accepts connections but never answers."""
    os.kill(engine.process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.process_id, signal.SIGCONT)
