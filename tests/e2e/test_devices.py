"""Serial devices end to end: requested by the cloud, unplugged, and plugged in again with another device number."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan
from tests.support.serial_port import Far, Host

pytestmark = pytest.mark.docker

WRITE = "import os; os.write(os.open('/dev/line0', os.O_RDWR | os.O_NOCTTY), b'hello')"


@pytest.fixture
async def plant(edge: EdgeHost, tmp_path: Path) -> Host:
    """The host's devices, in a folder that the controller reads."""
    host = await asyncio.to_thread(Host, tmp_path / "host")
    await edge.stop()
    await edge.start({"EDGE_DEV_DIR": str(host.roots.dev), "EDGE_SYS_DIR": str(host.roots.sys)})
    return host


async def condition(edge: EdgeHost) -> tuple[str, str]:
    """Status and reason of DevicesAttached."""
    found = (await edge.runtime("plc-1")).get("status", {}).get("conditions", ())
    return next(((each["status"], each["reason"]) for each in found if each["type"] == "DevicesAttached"), ("", ""))


async def plug(edge: EdgeHost, plant: Host, name: str, end: Far) -> None:
    """Plug a device in and wait until the controller detects it."""
    await asyncio.to_thread(plant.plug, name, end.number, by_id="usb-plc", idVendor="0403", serial="A5")

    async def seen() -> bool:
        return [each["path"] for each in (await edge.send("get_serial_devices"))["devices"]] == [f"/dev/{name}"]

    await eventually(seen, f"{name} is detected")


async def test_a_first_serial_port_needs_a_restart_and_gets_a_new_container(
    edge: EdgeHost, lan: Lan, plant: Host, docker_api: Any
) -> None:
    port = {"name": "line", "deviceId": "usb-plc", "containerPath": "/dev/line0"}
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_running("plc-1")
    before = docker_api.inspect_container("plc-1")
    with Far(plant.roots.dev.parent, 61) as far:
        await plug(edge, plant, "ttyUSB0", far)
        patch = json.dumps({"spec": {"serialPorts": [port]}})
        await edge.kubectl("patch", "runtime", "plc-1", "--type=merge", "-p", patch)

        async def reported() -> bool:
            return await condition(edge) == ("False", "DevicesUnsupported")

        await eventually(reported, "the status reports that the port needs a new container")
        now = docker_api.inspect_container("plc-1")
        assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        await edge.send("restart_device", device_id="plc-1")

        async def attached() -> bool:
            return await condition(edge) == ("True", "Attached")

        await eventually(attached, f"the port is attached (see {edge.log})")
        assert docker_api.inspect_container("plc-1")["Id"] != before["Id"]
        records = (await edge.runtime("plc-1"))["status"]["restarts"]
        assert [record["cause"] for record in records[1:]] == ["SpecChanged"] * 2
        assert "spec.serialPorts[line]" in records[-1]["detail"]


async def test_a_device_is_attached_again_after_it_was_unplugged(
    edge: EdgeHost, lan: Lan, plant: Host, docker_api: Any
) -> None:
    port = {"name": "line", "device_id": "usb-plc", "container_path": "/dev/line0", "baud_rate": 9600}

    async def present(expected: tuple[str, str]) -> bool:
        return await condition(edge) == expected

    with Far(plant.roots.dev.parent, 61) as far, Far(plant.roots.dev.parent, 62) as other:
        await plug(edge, plant, "ttyUSB0", far)
        await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24", serial_configs=[port])
        started = (await edge.wait_running("plc-1"))["uptime_seconds"]
        for name, end in (("ttyUSB0", far), ("ttyUSB1", other)):
            if end is other:
                await plug(edge, plant, name, end)
            await eventually(lambda: present(("True", "Attached")), f"{name} is attached (see {edge.log})")
            job = docker_api.exec_create("plc-1", ["/usr/bin/python3", "-I", "-S", "-c", WRITE])
            assert docker_api.exec_start(job["Id"]) == b""
            assert await asyncio.to_thread(end.received) == "hello"
            devices = (await edge.send("get_serial_devices"))["devices"]
            assert [(each["path"], each["device_id"], each["serial"]) for each in devices] == [
                (f"/dev/{name}", "usb-plc", "A5")
            ]
            await asyncio.to_thread(plant.unplug, name)
            await eventually(lambda: present(("False", "DeviceMissing")), f"{name} is reported missing")
    status = await edge.wait_running("plc-1")
    assert (status["restart_count"], status["serial_ports"][0]["attached"]) == (0, False)
    assert status["uptime_seconds"] >= started


async def test_a_runtime_waits_for_its_required_device(edge: EdgeHost, lan: Lan, plant: Host, docker_api: Any) -> None:
    spec = {
        "deviceId": "plc-1",
        "image": edge.environment["EDGE_RUNTIME_IMAGE"],
        "version": edge.environment["EDGE_RUNTIME_VERSION"],
        "serialPorts": [{"name": "line", "deviceId": "usb-plc", "containerPath": "/dev/line0", "required": True}],
    }
    manifest = {"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": {"name": "plc-1"}, "spec": spec}
    await edge.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    message = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"

    async def waits() -> bool:
        return await edge.kubectl("get", "runtime", "plc-1", "-o", message) == "DeviceMissing"

    await eventually(waits, "the start waits for the device")
    assert docker_api.containers(all=True, filters={"name": "plc-1"}) == []
    with Far(plant.roots.dev.parent, 61) as far:
        await asyncio.to_thread(plant.plug, "ttyUSB0", far.number, by_id="usb-plc")
        await edge.wait_condition("plc-1", "Ready")
        assert await condition(edge) == ("True", "Attached")
