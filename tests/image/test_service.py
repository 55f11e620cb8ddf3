"""The image as a service beside a host's Docker, run as in manifests/docker/compose.yaml."""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from typing_extensions import override

from controller.localcloud.server import Cloud
from tests.support.controller_image import PROJECT, REFERENCE
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected, eventually
from tests.support.lan import Lan
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(300)  # an image is built
SERVICE = yaml.safe_load((PROJECT / "manifests/docker/compose.yaml").read_text())["services"]["edge-controller"]
NAME = SERVICE["container_name"]
STATE = "/var/lib/edge-controller"


class ContainerHost(EdgeHost):
    """A host whose controller is a container on its engine."""

    def __init__(self, client: docker.DockerClient, folder: Path, engine: Engine, cloud: Cloud, certificates: Path,
                 image: str) -> None:  # fmt: skip
        super().__init__(folder, engine.url, cloud, certificates, image, "1")
        self._client = client
        # The compose file's paths, and their replacements in this test.
        self._paths = {"/var/run": engine.root, STATE: self.state, "~/.mtls": certificates}

    @override
    async def start(
        self, environment: Mapping[str, str] | None = None, *, connected: bool = True, wrapper: Sequence[str] = ()
    ) -> None:
        """Run the container as in the compose file, with this test's paths."""
        own = {"EDGE_CLIENT_CERT", "EDGE_CLIENT_KEY", "EDGE_STATE_DIR", "DOCKER_HOST"}
        given = {name: value for name, value in self.environment.items() if name not in own}
        given |= {"EDGE_CLOUD_CA": "/root/.mtls/ca.crt", "EDGE_HTTP_LISTEN": f"127.0.0.1:{free_port()}"}
        self.state.mkdir()
        await asyncio.to_thread(self._run, given)
        if connected:
            await self.cloud.wait_agent(AGENT, timeout=60)

    @override
    async def close(self) -> None:
        """Remove the container if it still exists."""
        for container in await asyncio.to_thread(self._client.containers.list, all=True, filters={"name": NAME}):
            await asyncio.to_thread(container.remove, force=True, v=True)

    def container(self) -> Any:
        """The current state of the container."""
        return self._client.containers.get(NAME)

    def _run(self, environment: Mapping[str, str]) -> None:
        volumes = [volume.split(":", 1) for volume in SERVICE["volumes"]]
        self._client.containers.run(
            REFERENCE, detach=True, environment=dict(environment), name=NAME,
            volumes=[f"{self._paths.get(host, host)}:{inside}" for host, inside in volumes],
            network_mode=SERVICE["network_mode"], pid_mode=SERVICE["pid"], cgroupns=SERVICE["cgroup"],
            cap_drop=SERVICE["cap_drop"], cap_add=SERVICE["cap_add"], security_opt=SERVICE["security_opt"],
            restart_policy={"Name": SERVICE["restart"]}, oom_score_adj=_oom_score(),
        )  # fmt: skip


@pytest.fixture
async def contained(
    built: Any, docker_client: docker.DockerClient, tmp_path: Path, engine: Engine, cloud: Cloud, runtime_image: str
) -> AsyncIterator[ContainerHost]:
    """A host whose controller runs in a container and is connected."""
    host = ContainerHost(docker_client, tmp_path, engine, cloud, await cloud.enroll(AGENT), runtime_image)
    async with connected(host) as edge:
        yield edge


async def test_it_works_and_killing_it_stops_no_runtime(
    contained: ContainerHost, lan: Lan, docker_client: docker.DockerClient
) -> None:
    await contained.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await contained.wait_running("plc-1")
    runtime = await asyncio.to_thread(docker_client.containers.get, "plc-1")
    started_at = runtime.attrs["State"]["StartedAt"]
    assert await asyncio.to_thread(lan.ping, lan.address(60))
    used = await contained.send("get_consumption_device", device_id="plc-1", cpuPeriod="1h", memoryPeriod="1h")
    assert used["status"] == "success"

    container = await asyncio.to_thread(contained.container)
    await asyncio.to_thread(container.kill)
    await asyncio.to_thread(container.start)
    await contained.cloud.wait_agent(AGENT, timeout=60)

    await contained.wait_running("plc-1")
    runtime = await asyncio.to_thread(docker_client.containers.get, "plc-1")
    assert runtime.attrs["State"]["StartedAt"] == started_at


async def test_its_health_check_passes(contained: ContainerHost) -> None:
    async def healthy() -> bool:
        found = await asyncio.to_thread(contained.container)
        return bool(found.attrs["State"]["Health"]["Status"] == "healthy")

    await eventually(healthy, "the container's health check passes", seconds=90)


async def test_delete_orchestrator_removes_the_runtimes_and_its_own_container(
    contained: ContainerHost, lan: Lan, docker_client: docker.DockerClient
) -> None:
    await contained.create("plc-1", lan.parent, f"{lan.address(61)}/24")
    await contained.wait_running("plc-1")
    assert (await contained.send("delete_orchestrator"))["status"] == "accepted"

    async def gone() -> bool:
        return not await asyncio.to_thread(docker_client.containers.list, all=True)

    await eventually(gone, "the runtime and the controller are gone", seconds=90)


def test_the_readmes_docker_run_equals_the_compose_file() -> None:
    readme = (PROJECT / "README.md").read_text().replace("\\\n", " ")
    found = re.search(r"^docker run .*$", readme, re.MULTILINE)
    assert found
    words = shlex.split(found[0])
    pairs = list(itertools.pairwise(words))
    options = dict(pairs)
    assert words[-1] == SERVICE["image"]
    assert options["--oom-score-adj"] == str(SERVICE["oom_score_adj"])
    assert [options[name] for name in ("--name", "--restart", "--network", "--pid", "--cgroupns")] == [
        SERVICE[key] for key in ("container_name", "restart", "network_mode", "pid", "cgroup")
    ]
    for option, key in (("--cap-add", "cap_add"), ("--cap-drop", "cap_drop"), ("-v", "volumes"),
                        ("--security-opt", "security_opt")):  # fmt: skip
        assert [value for name, value in pairs if name == option] == SERVICE[key], option
    assert [value for name, value in pairs if name == "-e"] == [f"{k}={v}" for k, v in SERVICE["environment"].items()]


def _oom_score() -> int:
    """The service's score if this machine allows lowering it (CAP_SYS_RESOURCE, bit 24; capabilities(7)), else 0."""
    bounds = int(Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0], 16)
    return int(SERVICE["oom_score_adj"]) if bounds >> 24 & 1 else 0
