"""Networks do not depend on the options that the engine's configuration gives to all networks."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Iterator

import docker
import pytest

from controller import names
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, BackendHarness, interface
from tests.support import image
from tests.support.command import run
from tests.support.dockerd import Engine
from tests.support.image import Image
from tests.support.lan import Lan

pytestmark = pytest.mark.docker

OPTIONS = (
    "bridge=com.docker.network.bridge.gateway_mode_ipv4=isolated",
    "bridge=com.docker.network.bridge.inhibit_ipv4=true",
    "bridge=com.docker.network.enable_ipv4=false",
    "bridge=com.docker.network.enable_ipv6=true",
    "macvlan=com.docker.network.enable_ipv4=false",
    "macvlan=com.docker.network.enable_ipv6=true",
)


@pytest.fixture
def own_engine(engine: Engine, docker_client: docker.DockerClient) -> Iterator[Engine]:
    """An engine like the session's that gives these options to all networks, if it knows such options."""
    knows = tuple(map(int, docker_client.version()["ApiVersion"].split("."))) >= (1, 44)
    flags = [f"--default-network-opt={option}" for option in OPTIONS if knows]
    with Engine(engine.binary, runtime=engine.runtime, options=tuple(flags)) as made:
        yield made


@pytest.fixture
async def harness(
    own_engine: Engine, host: HostServices, install_id: str, runtime_images: dict[str, Image]
) -> AsyncIterator[BackendHarness]:
    """A backend on that engine."""
    with contextlib.closing(own_engine.client()) as client:
        await asyncio.to_thread(image.load, client, [runtime_images["1"]])
    backend = DockerBackend(own_engine.url, install_id, INTERNAL_POOL, host, settle_seconds=1.0)
    yield BackendHarness(backend, install_id, image.REPOSITORY)
    await backend.purge(volumes=True)
    backend.close()


async def test_a_runtime_has_ipv4_only_and_the_host_reaches_it(
    harness: BackendHarness, own_engine: Engine, lan: Lan
) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    internal = (await harness.backend.observe(target)).network.internal_ip

    assert ipaddress.ip_address(internal) in INTERNAL_POOL
    assert run("ping", "-c", "1", "-W", "5", internal, check=False).returncode == 0
    assert await asyncio.to_thread(lan.ping, lan.address(10))
    with contextlib.closing(own_engine.client()) as client:
        ours = [entry for entry in client.api.networks() if names.INSTALL_LABEL in (entry["Labels"] or {})]
    assert [entry["EnableIPv6"] for entry in ours] == [False, False]
