"""The recorded starts and stops of a real runtime, for each way it can stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.runtimes import status_throttle
from tests.support.dockerd import Engine
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = pytest.mark.docker

ENOUGH_MEMORY = 64 * 2**20


@pytest.fixture
async def running(edge: EdgeHost, lan: Lan) -> str:
    """The name of a runtime that runs on the LAN with a memory limit."""
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await change(edge, "plc-1", {"resources": {"memory": str(ENOUGH_MEMORY)}})
    await edge.wait_running("plc-1")
    await edge.wait_condition("plc-1", "Ready")
    return "plc-1"


async def change(edge: EdgeHost, name: str, spec: dict[str, Any]) -> None:
    """Change the spec with kubectl."""
    await edge.kubectl("patch", "runtime", name, "--type=merge", "-p", json.dumps({"spec": spec}))


async def records(edge: EdgeHost, name: str) -> list[tuple[str, str, str]]:
    """Event, cause and detail of each record except the first start."""
    first, *others = (await edge.runtime(name))["status"]["restarts"]
    assert (first["event"], first["cause"]) == ("Started", "Created")
    assert first["detail"].startswith("create_new_runtime, command create-new-runtime-")
    return [(record["event"], record["cause"], record["detail"]) for record in others]


async def restarted(edge: EdgeHost, name: str, times: int = 1) -> list[tuple[str, str, str]]:
    """The records once it is ready after ``times`` restarts."""

    async def ready() -> bool:
        status = (await edge.runtime(name))["status"]
        current = {condition["type"]: condition["status"] for condition in status["conditions"]}
        return bool(status["restartCount"] >= times and current["Ready"] == "True")

    await eventually(ready, f"{name} is ready after {times} restarts (see {edge.log})", seconds=90)
    return await records(edge, name)


def kill_program(docker_api: Any, name: str) -> None:
    os.kill(docker_api.inspect_container(name)["State"]["Pid"], signal.SIGKILL)


def both(cause: str, detail: str) -> list[tuple[str, str, str]]:
    return [("Stopped", cause, detail), ("Started", cause, detail)]


ACCIDENTS: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "its program is killed": (lambda api: kill_program(api, "plc-1"), "Crashed", "exit code 137"),
    "docker kill": (lambda api: api.kill("plc-1"), "ByHand", "exit code 137"),
    "docker stop": (lambda api: api.stop("plc-1", timeout=10), "ByHand", "exit code "),
    "docker restart": (lambda api: api.restart("plc-1", timeout=10), "ByHand", "exit code "),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
async def test_an_accident_is_recorded_with_its_cause(
    edge: EdgeHost, running: str, docker_api: Any, accident: str
) -> None:
    cause_it, cause, detail = ACCIDENTS[accident]
    await asyncio.to_thread(cause_it, docker_api)
    reported = await restarted(edge, running)
    assert [record[:2] for record in reported] == [("Stopped", cause), ("Started", cause)]
    assert all(
        record[2].startswith(detail) for record in reported
    )  # the exit code after SIGTERM depends on the program


async def test_a_removal_by_hand_is_recorded(edge: EdgeHost, running: str, docker_api: Any) -> None:
    await asyncio.to_thread(docker_api.remove_container, running, force=True)
    assert [(event, cause) for event, cause, _ in await restarted(edge, running)] == [
        ("Stopped", "ByHand"),
        ("Started", "ByHand"),
    ]


async def test_a_crash_loop_is_throttled_and_loses_no_record(edge: EdgeHost, running: str, docker_api: Any) -> None:
    crashes = 7
    written: set[int] = set()
    began = time.monotonic()
    for _ in range(crashes):
        started = (await asyncio.to_thread(docker_api.inspect_container, running))["State"]["StartedAt"]
        await asyncio.to_thread(kill_program, docker_api, running)
        await started_again(edge, docker_api, running, started, written)

    reported = await restarted(edge, running, crashes)

    assert len(written) <= status_throttle.BURST + (time.monotonic() - began) / status_throttle.WRITE_INTERVAL_SECONDS
    assert {(cause, detail[:13]) for _, cause, detail in reported} == {("Crashed", "exit code 137")}
    assert (await edge.runtime(running))["status"]["restartCount"] == crashes


async def started_again(edge: EdgeHost, docker_api: Any, name: str, before: str, written: set[int]) -> None:
    """Wait for the next start; add the numbers of records the status has meanwhile to ``written``."""

    async def again() -> bool:
        written.add(len((await edge.runtime(name))["status"]["restarts"]))
        state = (await asyncio.to_thread(docker_api.inspect_container, name))["State"]
        return bool(state["Running"] and state["StartedAt"] != before)

    await eventually(again, f"{name} is restarted (see {edge.log})")


async def test_out_of_memory_is_recorded(edge: EdgeHost, running: str) -> None:
    await edge.send("run_command", device_id=running, method="GET", api=f"/api/bytes/{8 * ENOUGH_MEMORY}")
    reported = await restarted(edge, running)
    assert reported == both("OutOfMemory", "killed for lack of memory: raise spec.resources.memory")


async def test_a_command_is_recorded_with_topic_and_name(edge: EdgeHost, running: str) -> None:
    await edge.send("restart_device", device_id=running)
    commands = json.loads(await edge.kubectl("get", "runtimecommands", "-o", "json"))["items"]
    command = next(found for found in commands if found["spec"]["topic"] == "restart_device")["metadata"]["name"]

    reported = await restarted(edge, running)

    assert reported == both("Requested", f"restart_device, command {command}")
    described = await edge.kubectl("describe", "runtime", running)
    assert "Last Restart:" in described
    assert f"restart_device, command {command}" in described
    assert "Requested" in await edge.kubectl("get", "runtime", running, "-o", "wide")


async def test_a_spec_change_is_recorded_with_its_fields(edge: EdgeHost, running: str) -> None:
    await change(edge, running, {"env": [{"name": "PASSWORD", "value": "secret"}]})
    assert await restarted(edge, running) == both("SpecChanged", "spec.env[PASSWORD]")


async def test_a_restart_of_dockerd_is_recorded_and_one_of_the_controller_is_not(
    edge: EdgeHost, running: str, engine: Engine
) -> None:
    await edge.kill()
    await edge.start()
    await edge.wait_condition(running, "Ready")
    assert await records(edge, running) == []

    await asyncio.to_thread(engine.restart)

    reported = await restarted(edge, running)
    assert reported[-1] == ("Started", "DaemonRestarted", "Docker was restarted")
    assert {cause for _, cause, _ in reported} == {"DaemonRestarted"}


async def test_a_reboot_of_the_host_is_recorded(edge: EdgeHost, running: str, engine: Engine) -> None:
    await edge.kill()
    await asyncio.to_thread(engine.restart)
    uptime = int(float(Path("/proc/uptime").read_text().split()[0]))

    await edge.start(
        wrapper=("unshare", "--time", f"--boottime=-{uptime}")
    )  # for this process the host has just been booted

    assert await restarted(edge, running) == both("HostStarted", "The host was started")


async def test_a_crash_without_the_parent_interface_is_recorded_with_both_facts(
    edge: EdgeHost, running: str, lan: Lan, docker_api: Any
) -> None:
    await asyncio.to_thread(lan.unplug)
    await wait_missing(edge, running, "NetworkAttached", "ParentInterfaceMissing")
    await asyncio.to_thread(kill_program, docker_api, running)

    async def noticed() -> bool:
        return bool(await records(edge, running))

    await eventually(noticed, "the crash is recorded")
    await asyncio.to_thread(lan.plug)

    stop, *others = await restarted(edge, running)
    assert stop[:2] == ("Stopped", "ParentGone")
    assert stop[2].startswith("exit code 137 while ")
    assert [record[:2] for record in others] == [("Started", "ParentGone")]


async def test_a_crash_without_a_serial_device_is_recorded_with_both_facts(
    edge: EdgeHost, running: str, docker_api: Any
) -> None:
    port = {"name": "line", "deviceId": "usb-plc", "containerPath": "/dev/l0"}
    # A first port takes effect with the next requested restart.
    await change(edge, running, {"serialPorts": [port], "restartedAt": "2026-01-01T00:00:00Z"})
    await wait_missing(edge, running, "DevicesAttached", "DeviceMissing")
    before = (await edge.runtime(running))["status"]
    await asyncio.to_thread(kill_program, docker_api, running)

    reported = (await restarted(edge, running, before["restartCount"] + 1))[len(before["restarts"]) - 1 :]

    assert [record[:2] for record in reported] == [("Stopped", "DeviceGone"), ("Started", "DeviceGone")]
    assert all(record[2].startswith("exit code 137 while ") for record in reported)


async def wait_missing(edge: EdgeHost, name: str, kind: str, reason: str) -> None:
    """Wait until the condition is False with this reason."""

    async def reported() -> bool:
        conditions = (await edge.runtime(name))["status"]["conditions"]
        return any((each["type"], each["status"], each["reason"]) == (kind, "False", reason) for each in conditions)

    await eventually(reported, f"{kind} is False with reason {reason} (see {edge.log})")
