"""While a Docker engine hangs (SIGSTOP), only work that needs Docker waits, and nothing is done twice.

The engine timeouts are shortened; with EDGE_TEST_FULL_LENGTH=1 the real ones are used, which takes minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.localcloud.server import Cloud
from controller.manager import runtime_operator
from tests.e2e.conftest import Probe, hanging
from tests.support import short_timeouts
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine, pytest.mark.timeout(900)]

FULL_LENGTH = os.environ.get("EDGE_TEST_FULL_LENGTH") == "1"
# Longer than every timeout of a call and of a loop's heartbeat, except that of pulls, which are not used here.
HANG_SECONDS = runtime_operator.RESYNC_SECONDS + 90 if FULL_LENGTH else 2 * short_timeouts.LIMITS.query_seconds + 4
BEAT_SECONDS = 2  # if shorter, the busy test could miss two acknowledgements, and the link would end
RUNTIMES = [f"plc-{number}" for number in range(1, 9)]


@pytest.fixture
async def edge(
    tmp_path: Path, engine: Engine, runtime_image: str, cloud: Cloud, free_port: int
) -> AsyncIterator[EdgeHost]:
    """A host with a connected controller and a fast heartbeat."""
    module = "controller" if FULL_LENGTH else "tests.support.short_timeouts"
    host = EdgeHost(tmp_path, engine.url, cloud, await cloud.enroll(AGENT), runtime_image, "1", module)
    host.environment |= {
        "EDGE_HTTP_LISTEN": f"127.0.0.1:{free_port}",
        "EDGE_HEARTBEAT_SECONDS": str(BEAT_SECONDS),
        "EDGE_COMMAND_SECONDS": "30" if FULL_LENGTH else "6",
    }
    async with connected(host) as edge:
        yield edge


@pytest.fixture
async def runtimes(edge: EdgeHost, lan: Lan) -> list[str]:
    """Eight ready runtimes."""
    for number, name in enumerate(RUNTIMES):
        await edge.create(name, lan.parent, f"{lan.address(60 + number)}/24")
    for name in RUNTIMES:
        await edge.wait_condition(name, "Ready", seconds=120)
    return RUNTIMES


async def starts(client: Any) -> dict[str, tuple[str, str, int]]:
    """Id, start time and restart count of each container."""
    found = {}
    for name in RUNTIMES:
        seen = await asyncio.to_thread(client.inspect_container, name)
        found[name] = (seen["Id"], seen["State"]["StartedAt"], seen["RestartCount"])
    return found


async def wait_reason(edge: EdgeHost, name: str, reason: str) -> None:
    """Wait until a condition has this reason."""

    async def waits() -> bool:
        conditions = (await edge.runtime(name))["status"]["conditions"]
        return any(condition["reason"] == reason for condition in conditions)

    await eventually(waits, f"{name} waits for {reason} (see {edge.log})")


async def assert_answers(edge: EdgeHost, probe: Probe) -> None:
    """Assert that everything that needs no Docker answers, and everything else reports that Docker does not."""
    assert await probe.get("/healthz") == (200, "ok\n")
    status, text = await probe.get("/readyz")
    assert (status, text.split(":")[0]) == (503, "docker")
    assert "does not answer" in text
    shown = await edge.status("plc-1")
    assert shown["status"] == "success"
    assert "does not answer" in shown["message"]  # the rest is what was last observed
    used = await edge.send("get_consumption_device", device_id="plc-1", cpuPeriod="1h", memoryPeriod="1h")
    assert used["status"] == "success"
    await edge.cloud.next_heartbeat(AGENT)
    refused = await edge.send("start_device", device_id="plc-1")
    assert "Docker" in refused["error"]
    assert "does not answer" in refused["error"]
    assert len((await edge.kubectl("get", "runtimes", "-o", "name")).split()) == len(RUNTIMES)


async def test_a_hanging_engine_affects_nothing_else(
    edge: EdgeHost, runtimes: list[str], lan: Lan, engine: Engine, docker_client: Any, free_port: int
) -> None:
    probe, client = Probe(free_port), docker_client.api
    before, session = await starts(client), edge.cloud.agents.session(AGENT)

    with hanging(engine):
        for name in runtimes:
            await wait_reason(edge, name, "DockerUnreachable")
        until = asyncio.get_running_loop().time() + HANG_SECONDS
        while asyncio.get_running_loop().time() < until:
            await assert_answers(edge, probe)
    for name in runtimes:
        await edge.wait_condition(name, "Ready")
    assert edge.cloud.agents.session(AGENT) == session
    assert await starts(client) == before

    with hanging(engine):
        assert await edge.stop() == 0
        await edge.start()
        await wait_reason(edge, "plc-1", "DockerUnreachable")
        await edge.create("plc-9", lan.parent, f"{lan.address(69)}/24")
        await wait_reason(edge, "plc-9", "DockerUnreachable")
        waiting = await edge.status("plc-9")
        assert waiting["status"] == "creating"
        assert "does not answer" in waiting["step"]
    for name in (*runtimes, "plc-9"):
        await edge.wait_condition(name, "Ready")
    assert await starts(client) == before


def wait_event(client: Any, since: float, event: str) -> None:
    """Wait for an event of plc-1 since that time."""
    filters = {"container": "plc-1", "event": event}
    with contextlib.closing(client.events(since=since, filters=filters, decode=True)) as events:
        next(events)


def events_since(client: Any, since: float, event: str) -> int:
    """The number of such events of plc-1 since that time."""
    filters = {"container": "plc-1", "event": event}
    return len(list(client.events(since=since, until=time.time(), filters=filters, decode=True)))


@pytest.mark.parametrize("event", ["kill", "start"])
async def test_a_restart_interrupted_by_a_hang_is_made_once(
    edge: EdgeHost, lan: Lan, engine: Engine, docker_client: Any, event: str
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")
    since = time.time()
    answer = asyncio.create_task(edge.send("restart_device", device_id="plc-1"))
    await asyncio.to_thread(wait_event, docker_client.api, since, event)

    with hanging(engine):
        await wait_reason(edge, "plc-1", "DockerUnreachable")
        await answer
    await edge.wait_condition("plc-1", "Ready")

    assert events_since(docker_client.api, since, "start") == 1
    assert (await edge.runtime("plc-1"))["status"]["restartCount"] == 1
