"""When the state's disk fills up, the real service reports it, can still be restarted, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.storage.reserve import BYTES
from controller.localcloud.server import Cloud
from tests.support import small_disk
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected, eventually
from tests.support.lan import Lan
from tests.support.ports import free_port
from tests.support.small_disk import SmallDisk

pytestmark = [pytest.mark.docker, pytest.mark.any_engine, pytest.mark.timeout(300)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """The file system of the state directory."""
    with small_disk.tmpfs(tmp_path / "state", size="24m") as made:
        yield made


@pytest.fixture
async def edge(
    tmp_path: Path, engine: Engine, runtime_image: str, cloud: Cloud, disk: SmallDisk
) -> AsyncIterator[EdgeHost]:
    """A host with a small disk and, as on a real host, a fixed API port."""
    host = EdgeHost(tmp_path, engine.url, cloud, await cloud.enroll(AGENT), runtime_image, "1")
    host.environment["EDGE_API_LISTEN"] = f"127.0.0.1:{free_port()}"
    async with connected(host) as edge:
        yield edge


async def started(client: Any, name: str) -> tuple[str, str]:
    """The container's id and start time."""
    found = await asyncio.to_thread(client.inspect_container, name)
    return found["Id"], found["State"]["StartedAt"]


async def is_full(edge: EdgeHost, status: str) -> None:
    """Wait until the EdgeNode's condition DiskFull has this status."""
    await edge.kubectl("wait", "edgenode/test-node", f"--for=condition=DiskFull={status}", "--timeout=60s")


async def has_event(edge: EdgeHost, reason: str) -> bool:
    """Whether an Event with this reason exists. The API records it after its first check of the disk."""
    return reason in await edge.kubectl("get", "events", "--all-namespaces")


async def test_a_full_disk_stops_no_runtime_after_any_restart_of_the_controller(
    edge: EdgeHost, lan: Lan, disk: SmallDisk, docker_api: Any
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_running("plc-1")
    await edge.wait_condition("plc-1", "Ready")
    before = await started(docker_api, "plc-1")
    database = edge.state / "api" / "objects.db"

    async def has_reserve() -> bool:
        return (await asyncio.to_thread(database.stat)).st_size > BYTES

    await eventually(has_reserve, "the reserve")
    await asyncio.to_thread(disk.fill)
    await is_full(edge, "true")
    refused = await edge.create("plc-2", lan.parent, f"{lan.address(61)}/24")
    assert refused["status"] == "error"
    assert "DiskFull" in refused["error"]
    for end in (edge.kill, edge.stop):
        await end()
        await asyncio.to_thread(disk.fill)
        await edge.start()
        await edge.wait_condition("plc-1", "Ready")
    await eventually(lambda: has_event(edge, "DiskFull"), "the Event DiskFull")
    await asyncio.to_thread(disk.free)
    await is_full(edge, "false")
    await edge.create("plc-2", lan.parent, f"{lan.address(61)}/24")
    await edge.wait_running("plc-2")
    assert await started(docker_api, "plc-1") == before
    assert "Traceback" not in edge.log_text()
