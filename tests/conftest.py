"""Fixtures of the whole suite: engine, runtime image, LAN, certificates, local cloud, embedded API, and guards.

A test session uses one private engine; ``EDGE_TEST_DOCKERD`` selects another dockerd (with the ``runc`` next to it).
A session that leaves something behind fails.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import hypothesis
import pytest
from blockbuster import blockbuster_ctx

from controller.api import crds
from controller.localcloud.server import Cloud
from tests.cluster import nodes
from tests.support import dockerd, engine_traces, image, ownership, ports, requirements
from tests.support import lan as lans
from tests.support.certificates import Authority
from tests.support.direct_api import DirectApi
from tests.support.embedded_api import EmbeddedApi

# Examples may be slow while other processes use the machine.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

_DEFAULT_NETWORKS = {"bridge", "host", "none"}


@pytest.fixture(autouse=True)
def no_blocking_call() -> Iterator[None]:
    """Fail a test in which the product blocks an event loop."""
    with blockbuster_ctx("controller"):
        yield


class _Unseen(logging.Handler):
    """Collects asyncio's messages about exceptions that were never retrieved."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "exception was never retrieved" in message:
            self.found.append(message)


@pytest.fixture(autouse=True)
def no_unseen_failure() -> Iterator[None]:
    """Fail a test if the exception of a task is never retrieved."""
    unseen, logger = _Unseen(), logging.getLogger("asyncio")
    logger.addHandler(unseen)
    yield
    logger.removeHandler(unseen)
    assert unseen.found == []


@pytest.fixture
def certificates(tmp_path: Path) -> Authority:
    """The test's own certificate authority."""
    return Authority(tmp_path / "certificates")


@pytest.fixture
def free_port() -> int:
    """A port for a server of another process."""
    return ports.free_port()


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    """A started local cloud."""
    cloud = Cloud(tmp_path / "cloud")
    await cloud.start()
    yield cloud
    await cloud.stop()


@pytest.fixture
async def direct_api() -> AsyncIterator[DirectApi]:
    """The embedded API without its server, for tests of what uses it."""
    async with DirectApi() as made:
        yield made


@pytest.fixture(scope="session")
def embedded_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedApi]:
    """One embedded API with our kinds; its users must empty it afterwards (``clear``)."""
    made = EmbeddedApi(tmp_path_factory.mktemp("api"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def docker_machine() -> Iterator[None]:
    """A machine for engines and LANs; cleans up after killed runs and checks for leftovers of this one."""
    requirements.root()
    requirements.programs("dockerd", "containerd", "runc", "ip", "ping", "arping")
    lans.remove_orphans()
    dockerd.remove_orphans()
    yield
    own_lans = [name for name in lans.names() if ownership.is_own(name, lans.PREFIX)]
    traces = [trace for root in dockerd.roots() for trace in engine_traces.find(root)]
    assert not own_lans, "LANs left behind by tests"
    assert not traces, "parts of a Docker engine left behind by tests"


@pytest.fixture(scope="session")
def engine(docker_machine: None) -> Iterator[dockerd.Engine]:
    """The session's Docker engine; fails the session if tests leave containers or networks in it."""
    binary = os.environ.get("EDGE_TEST_DOCKERD", "dockerd")
    runtime = Path(binary).parent / "runc"
    own_runtime = runtime if "/" in binary and runtime.exists() else None
    with dockerd.Engine(binary, runtime=own_runtime) as engine:
        yield engine
        with contextlib.closing(engine.client()) as client:
            assert not left_behind(client), "containers and networks left behind by tests"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Cluster]:
    """A real cluster of two nodes with our kinds and the runtime's images; tests must undo their changes.

    Fails the session if something is left behind.
    """
    with nodes.Cluster(nodes.build(), tmp_path_factory.mktemp("cluster"), count=2) as made:
        made.load(image.runtime_images())
        made.apply(*crds.manifests(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        # The condition Established is set shortly before the kind is served; kubectl waits for that.
        made.kubectl("get", "runtimes,runtimecommands,edgenodes", "--all-namespaces")
        made.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace=edge", "--timeout=60s")
        yield made
    assert nodes.traces() == [], "parts of a cluster left behind"


@pytest.fixture
def docker_client(engine: dockerd.Engine) -> Iterator[docker.DockerClient]:
    """A client of the engine."""
    with contextlib.closing(engine.client()) as client:
        yield client


@pytest.fixture(scope="session")
def runtime_images(docker_machine: None) -> dict[str, image.Image]:
    """The runtime's images by tag: ``1``, ``2`` and ``crash``."""
    return {made.reference.rpartition(":")[2]: made for made in image.runtime_images()}


@pytest.fixture
def runtime_image(docker_client: docker.DockerClient, runtime_images: dict[str, image.Image]) -> str:
    """The repository with the tags ``1``, ``2`` and ``crash`` in the engine, even if a test removed them."""
    present = {tag for found in docker_client.images.list(image.REPOSITORY) for tag in found.tags}
    missing = [made for made in runtime_images.values() if made.reference not in present]
    if missing:
        image.load(docker_client, missing)
    return image.REPOSITORY


@pytest.fixture
def lan(docker_machine: None) -> Iterator[lans.Lan]:
    """The test's own LAN."""
    with lans.Lan() as made:
        yield made


def left_behind(client: docker.DockerClient) -> list[str]:
    """Return the engine's containers and networks except the default ones."""
    containers = [f"container {container.name}" for container in client.containers.list(all=True)]
    networks = [
        f"network {network.name}" for network in client.networks.list() if network.name not in _DEFAULT_NETWORKS
    ]
    return containers + networks
