"""One host for each test: a started controller, the local cloud, and the session's Docker engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docker
import pytest

from controller.console.server import Cloud
from tests.support.dockerd import Engine
from tests.support.site import AGENT, Site, connected


@pytest.fixture
def docker_api(docker_client: docker.DockerClient) -> Any:
    """The engine's API, call by call."""
    return docker_client.api


@pytest.fixture
async def site(tmp_path: Path, engine: Engine, runtime_image: str, cloud: Cloud) -> AsyncIterator[Site]:
    """A host whose controller is connected."""
    host = Site(tmp_path, engine.url, cloud, await cloud.enroll(AGENT), runtime_image, "1")
    async with connected(host) as site:
        yield site
