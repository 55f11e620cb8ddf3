"""The test registry behaves like a registry for an engine."""

from __future__ import annotations

import docker
import pytest

from tests.support.image import Image, Layer
from tests.support.registry import Registry

pytestmark = pytest.mark.docker


def test_an_engine_pulls_by_tag_and_sees_the_pushed_digest(
    docker_client: docker.DockerClient, runtime_images: dict[str, Image]
) -> None:
    with Registry() as registry:
        digest = registry.push("plant/plc", "1", runtime_images["1"])
        pulled = docker_client.images.pull(f"{registry.address}/plant/plc", tag="1")
        assert pulled.attrs["RepoDigests"] == [f"{registry.address}/plant/plc@{digest}"]
        pulled.remove(force=True)


def test_an_engine_pulls_by_digest(docker_client: docker.DockerClient, runtime_images: dict[str, Image]) -> None:
    with Registry() as registry:
        digest = registry.push("plant/plc", "1", runtime_images["2"])
        pulled = docker_client.images.pull(f"{registry.address}/plant/plc@{digest}")
        assert pulled.attrs["Config"]["Env"][-1] == "EDGE_TEST_VERSION=2"
        docker_client.images.remove(f"{registry.address}/plant/plc@{digest}", force=True)


def test_an_unknown_tag_is_not_found(docker_client: docker.DockerClient) -> None:
    with Registry() as registry, pytest.raises(docker.errors.NotFound):
        docker_client.images.pull(f"{registry.address}/plant/plc", tag="nosuch")


@pytest.mark.parametrize(
    ("credentials", "admitted"),
    [
        (None, False),
        ({"username": "plc", "password": "wrong"}, False),
        ({"username": "plc", "password": "s3"}, True),
    ],
)
def test_a_private_registry_requires_the_password(
    docker_client: docker.DockerClient,
    runtime_images: dict[str, Image],
    credentials: dict[str, str] | None,
    admitted: bool,
) -> None:
    with Registry(credentials=("plc", "s3")) as registry:
        registry.push("plant/plc", "1", runtime_images["1"])
        try:
            docker_client.images.pull(f"{registry.address}/plant/plc", tag="1", auth_config=credentials)
        except docker.errors.APIError:
            assert not admitted
        else:
            assert admitted
            docker_client.images.remove(f"{registry.address}/plant/plc:1", force=True)


def test_a_throttled_pull_shows_progress(docker_client: docker.DockerClient, runtime_images: dict[str, Image]) -> None:
    with Registry(bytes_per_second=8_000_000) as registry:
        registry.push("plant/slow", "1", Image("", _other_layer(runtime_images["1"]), {}))
        lines = list(docker_client.api.pull(f"{registry.address}/plant/slow", tag="1", stream=True, decode=True))
        assert any(line.get("progressDetail", {}).get("current") for line in lines)
        docker_client.images.remove(f"{registry.address}/plant/slow:1", force=True)


def _other_layer(image: Image) -> Layer:
    """A layer that the engine does not have yet, so that it must be downloaded."""
    return Layer(image.layer.content + bytes(10240))
