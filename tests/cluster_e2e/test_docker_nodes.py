"""Two nodes with a Docker engine each, on a real API: runtimes are containers on the node they were placed on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import partial

import aiohttp
import pytest

from tests.cluster_e2e.test_fleet import NODES, Fleet
from tests.support import dockerd, image
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import eventually
from tests.support.lan import Lan
from tests.support.ports import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def engines(docker_machine: None) -> Iterator[dict[str, dockerd.Engine]]:
    """An engine for each node, with the runtime's images."""
    images = image.runtime_images()
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(dockerd.Engine()) for name in NODES}
        for engine in made.values():
            with contextlib.closing(engine.client()) as client:
                image.load(client, images)
        yield made


@pytest.fixture
async def fleet(edge_cluster: EdgeCluster, engines: dict[str, dockerd.Engine]) -> AsyncIterator[Fleet]:
    fleet = Fleet(edge_cluster)
    fleet.leader.environment["EDGE_RUNTIME_IMAGE"] = image.REPOSITORY
    # Both nodes share this machine's network, so each needs its own address ranges.
    for number, (name, node) in enumerate(fleet.nodes.items()):
        pool = f"10.{213 + number}.0.0/16"
        node.environment |= {
            "DOCKER_HOST": engines[name].url,
            "EDGE_INTERNAL_POOL": pool,
            "EDGE_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
        }
    await fleet.start()
    yield fleet
    for device in ("plc-1", "plc-2"):
        await fleet.leader.send("delete_device", device_id=device)
    for node in fleet.nodes.values():
        await node.stop()
        await node.purge()


def containers(engine: dockerd.Engine) -> dict[str, str]:
    """The start times of running containers, by name."""
    with contextlib.closing(engine.client()) as client:
        return {str(found.name): found.attrs["State"]["StartedAt"] for found in client.containers.list()}


async def responds(fleet: Fleet, device_id: str) -> bool:
    """Whether the program of a runtime responds to a request through its node."""
    answer = await fleet.leader.send("run_command", device_id=device_id, method="GET", api="/api/status")
    return "http_response" in answer and answer["http_response"]["status_code"] == 200


async def test_runtimes_run_on_the_node_they_were_placed_on(
    fleet: Fleet, engines: dict[str, dockerd.Engine], lan: Lan
) -> None:
    for number, name in enumerate(NODES, start=1):
        address = f"{lan.address(10 + number)}/24"

        answer = await fleet.leader.create(f"plc-{number}", lan.parent, address, node_name=name)
        assert answer["status"] == "creating", answer
    for number, name in enumerate(NODES, start=1):
        await fleet.leader.wait_running(f"plc-{number}", seconds=120)
        assert set(await asyncio.to_thread(containers, engines[name])) == {f"plc-{number}"}
        await eventually(partial(responds, fleet, f"plc-{number}"), "its program listens")

    before = {name: await asyncio.to_thread(containers, engine) for name, engine in engines.items()}
    node = fleet.nodes["node-1"]
    assert node.process is not None
    node.process.kill()
    await node.process.wait()
    answer = await fleet.leader.send("restart_device", device_id="plc-2")
    assert answer["status"] == "success"
    await node.start(connected=False)
    answer = await fleet.leader.send("stop_device", device_id="plc-1", timeout=60)
    assert answer["status"] == "success"
    assert await asyncio.to_thread(containers, engines["node-1"]) == {}
    assert (await asyncio.to_thread(containers, engines["node-2"]))["plc-2"] != before["node-2"]["plc-2"]


async def test_a_node_reads_the_pull_secrets_and_reports_a_missing_one(fleet: Fleet) -> None:
    secrets = [{"name": "registry"}]
    await fleet.runtime("plc-3", "node-1", image="registry.test/plc", imagePullSecrets=secrets)

    async def reported() -> bool:
        reason = (await fleet.ready("runtime", "plc-3")).get("reason")
        return reason in ("ImagePullFailed", "ImageNotFound")

    await eventually(reported, "the image cannot be pulled")
    assert "Cannot read the Secret edge/registry: " in fleet.nodes["node-1"].log_text()
    await fleet.edge.kubectl("delete", "runtime", "plc-3", "--timeout=60s")


async def test_a_node_is_ready(fleet: Fleet) -> None:
    address = fleet.nodes["node-1"].environment["EDGE_HTTP_LISTEN"]
    async with aiohttp.ClientSession() as client, client.get(f"http://{address}/readyz") as answer:
        assert answer.status == 200, await answer.text()
