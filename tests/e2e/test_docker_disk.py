"""When Docker's disk fills up, the real service reports it, even while Docker hangs, and stops no runtime."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.localcloud.server import Cloud
from tests.e2e.conftest import Probe, hanging
from tests.support import dockerd, image, ownership, small_disk
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected, eventually
from tests.support.image import Image
from tests.support.lan import Lan
from tests.support.small_disk import SmallDisk

pytestmark = [pytest.mark.docker, pytest.mark.any_engine, pytest.mark.timeout(300)]


@pytest.fixture
def small_engine(engine: Engine) -> Iterator[Engine]:
    """An engine like the session's, with its images and containers on a small disk."""
    made = Engine(
        engine.binary, Path(tempfile.gettempdir()) / ownership.new_name(dockerd.PREFIX), runtime=engine.runtime
    )
    data = made.root / "data"
    data.mkdir(mode=0o700, parents=True)
    small_disk.run("mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(data))
    with made:  # on exit it unmounts everything below its root
        yield made


@pytest.fixture
def disk(small_engine: Engine) -> SmallDisk:
    """The disk of the small engine."""
    return SmallDisk(small_engine.root / "data")


@pytest.fixture
async def edge(
    tmp_path: Path, small_engine: Engine, runtime_images: dict[str, Image], cloud: Cloud, free_port: int
) -> AsyncIterator[EdgeHost]:
    """A host with its state on another disk than Docker's."""
    with contextlib.closing(small_engine.client()) as client:
        await asyncio.to_thread(image.load, client, [runtime_images["1"]])
    host = EdgeHost(tmp_path, small_engine.url, cloud, await cloud.enroll(AGENT), image.REPOSITORY, "1")
    host.environment["EDGE_HTTP_LISTEN"] = f"127.0.0.1:{free_port}"
    async with connected(host) as edge:
        yield edge


async def condition_message(edge: EdgeHost, status: str) -> str:
    """The message of the EdgeNode's condition DiskFull, once it has this status."""
    await edge.kubectl("wait", "edgenode/test-node", f"--for=condition=DiskFull={status}", "--timeout=60s")
    found = json.loads(await edge.kubectl("get", "edgenode", "test-node", "-o", "json"))["status"]["conditions"]
    return next(str(condition["message"]) for condition in found if condition["type"] == "DiskFull")


async def started_at(edge: EdgeHost, name: str) -> str:
    """The start time of the runtime."""
    return str((await edge.runtime(name))["status"]["startedAt"])


async def assert_reported(edge: EdgeHost, probe: Probe, message: str) -> None:
    """Assert that the controller is not ready but the API is, and that metrics and an Event report the disk."""
    assert await probe.get("/readyz") == (503, f"docker-disk: DiskFull: {message}\n")
    assert await probe.get("/healthz") == (200, "ok\n")
    assert await edge.kubectl("get", "--raw=/readyz") == "ok"
    _, metrics = await probe.get("/metrics")
    assert 'edge_disk_full{disk="docker"} 1.0' in metrics
    assert 'edge_disk_full{disk="state"} 0.0' in metrics

    async def posted() -> bool:
        events = await edge.kubectl("get", "events", "-n", "default", "-o", "json")
        return message in [each["message"] for each in json.loads(events)["items"] if each["reason"] == "DiskFull"]

    await eventually(posted, "the Event DiskFull")


async def test_a_full_docker_disk_is_reported_and_delays_a_restart(
    edge: EdgeHost, disk: SmallDisk, small_engine: Engine, lan: Lan, free_port: int
) -> None:
    probe = Probe(free_port)
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")
    started = await started_at(edge, "plc-1")
    assert await probe.get("/readyz") == (200, "ok\n")

    await asyncio.to_thread(disk.fill)
    message = await condition_message(edge, "true")

    assert message.startswith(f"the disk of Docker ({disk.path}) is full")
    await assert_reported(edge, probe, message)
    refused = await edge.send("restart_device", device_id="plc-1")
    assert "plc-1 could not start again" in refused["error"]
    assert await started_at(edge, "plc-1") == started

    with hanging(small_engine):
        await asyncio.to_thread(disk.free)
        assert await condition_message(edge, "false") == "There is room on every disk: state, docker"
        await asyncio.to_thread(disk.fill)
        assert (await condition_message(edge, "true")).startswith(f"the disk of Docker ({disk.path}) is full")
        await asyncio.to_thread(disk.free)
        await condition_message(edge, "false")

    async def restarted() -> bool:
        return await started_at(edge, "plc-1") != started

    await eventually(restarted, "the requested restart is made")
