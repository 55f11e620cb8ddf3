"""The real program with a clock that starts in 1970, jumps by decades and steps back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost, eventually
from tests.support.fake_clock import FakeClock
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine, pytest.mark.timeout(300)]

CRASH = [("Stopped", "Crashed", "exit code 137"), ("Started", "Crashed", "exit code 137")]
LINK_SECONDS = 90  # one connection attempt plus the longest backoff


async def records(edge: EdgeHost) -> list[tuple[str, str, str]]:
    """Event, cause and detail of each record except the first start."""
    _, *others = (await edge.runtime("plc-1"))["status"]["restarts"]
    return [(record["event"], record["cause"], record["detail"]) for record in others]


async def crash(edge: EdgeHost, docker_api: Any, times: int) -> None:
    """Kill the program and wait until the status counts ``times`` restarts."""
    state = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["State"]
    os.kill(state["Pid"], signal.SIGKILL)

    async def reported() -> bool:
        try:
            status = (await edge.runtime("plc-1"))["status"]
        except AssertionError:  # a jump also expires the client's certificate; a new one follows within seconds
            return False
        ready = {condition["type"]: condition["status"] for condition in status["conditions"]}["Ready"]
        return bool(status["restartCount"] == times and ready == "True")

    await eventually(reported, f"restart {times} is counted (see {edge.log})", seconds=60)


async def serves(edge: EdgeHost) -> None:
    """Wait until the API answers."""

    async def answers() -> bool:
        return await edge.kubectl("get", "--raw=/readyz", check=False) == "ok"

    await eventually(answers, f"the API answers (see {edge.log})")


async def link(edge: EdgeHost, status: str, word: str) -> None:
    """Wait until the EdgeNode reports this status of the cloud link."""

    async def reported() -> bool:
        (node,) = json.loads(await edge.kubectl("get", "edgenodes", "-o", "json"))["items"]
        found = next(c for c in node["status"]["conditions"] if c["type"] == "CloudConnected")
        return bool(found["status"] == status and word in found["message"])

    await eventually(reported, f"the link is {status}: {word} (see {edge.log})", seconds=LINK_SECONDS)


async def test_setting_the_clock_does_not_affect_a_running_runtime(
    edge: EdgeHost, lan: Lan, docker_api: Any, tmp_path: Path
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")
    await edge.kill()
    clock = FakeClock(tmp_path)
    clock.set_to(1970)
    await edge.start(connected=False, wrapper=clock.wrapper)
    await serves(edge)
    await edge.wait_condition("plc-1", "Ready")
    assert await records(edge) == [], "a start of the controller in 1970 recorded a start of the runtime"
    await link(edge, "False", "this host's clock is probably wrong")

    await crash(edge, docker_api, 1)
    clock.set_to(2080)
    await crash(edge, docker_api, 2)
    clock.set(0)
    await crash(edge, docker_api, 3)
    clock.set(-3600)
    await crash(edge, docker_api, 4)
    assert await records(edge) == 4 * CRASH

    clock.set(0)
    await link(edge, "True", "")
    uptimes = [(await edge.send("get_device_status", device_id="plc-1"))["uptime_seconds"]]
    for step in (-3600, 3600):
        clock.set(step)
        uptimes.append((await edge.send("get_device_status", device_id="plc-1"))["uptime_seconds"])
    assert 0 <= uptimes[0] <= uptimes[1] <= uptimes[2] < 600
    assert len(list((edge.state / "backups").glob("*.db"))) <= 1, "a clock jump triggered a backup"
