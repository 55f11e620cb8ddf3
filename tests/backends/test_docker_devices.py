"""Serial devices in real containers: read and written through from inside, pulled and plugged in again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.backends import base
from controller.backends.base import ObservedDevice, Target
from controller.devices.serial import SerialDevice, SerialDevices
from controller.resources import reasons
from tests.backends.conftest import Bench
from tests.support.serial_port import Far, Host

pytestmark = pytest.mark.docker

PORT = {"name": "line", "deviceId": "usb-plc", "containerPath": "/dev/line0"}
WRITE = "import os; f = os.open('/dev/line0', os.O_RDWR | os.O_NOCTTY); os.write(f, b'{}')"
READ = "import os; f = os.open('/dev/line0', os.O_RDWR | os.O_NOCTTY); print(os.read(f, 80).decode())"


@pytest.fixture
def plant(tmp_path: Path) -> Host:
    """The host's /dev and /sys."""
    return Host(tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    """The far end of the first port."""
    with Far(tmp_path, 61) as end:
        yield end


@pytest.fixture
def other_far(tmp_path: Path) -> Iterator[Far]:
    """The far end of the second port."""
    with Far(tmp_path, 62) as end:
        yield end


def inside(api: Any, target: Target, program: str) -> str:
    """What a Python program prints in the container, and what went wrong."""
    job = api.exec_create(target.identity.device_id, ["/usr/bin/python3", "-I", "-S", "-c", program])
    return str(api.exec_start(job["Id"]).decode()).strip()


async def seen(bench: Bench, target: Target) -> ObservedDevice:
    """How its only port stands."""
    observed: base.Observed = await bench.backend.observe(target)
    (found,) = observed.devices
    return found


async def test_a_runtime_reads_and_writes_its_device(
    bench: Bench, api: Any, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await bench.up(bench.target(serialPorts=[PORT]))
    assert (await seen(bench, target)).detail == "/dev/line0 is not there"

    await bench.run(target, base.AttachDevices)

    assert await seen(bench, target) == ObservedDevice("line", "/dev/ttyUSB0")
    assert inside(api, target, WRITE.format("to the plant")) == ""
    assert far.received() == "to the plant"
    far.type("from the plant")
    assert inside(api, target, READ) == "from the plant"


async def test_it_is_the_same_port_after_it_was_plugged_in_elsewhere(
    bench: Bench, api: Any, plant: Host, far: Far, other_far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await bench.run(await bench.up(bench.target(serialPorts=[PORT])), base.AttachDevices)
    started = (await bench.backend.observe(target)).started_at

    plant.unplug("ttyUSB0")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    assert (await seen(bench, target)).awaits == ""  # a dead node stands
    await bench.run(target, base.AttachDevices)
    assert (await seen(bench, target)).awaits == reasons.DEVICE_MISSING
    assert "No such file" in inside(api, target, WRITE.format("nobody"))

    plant.plug("ttyUSB7", other_far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    await bench.run(target, base.AttachDevices)

    assert inside(api, target, WRITE.format("again")) == ""
    assert (far.received(), other_far.received()) == ("", "again")
    assert (await bench.backend.observe(target)).started_at == started


async def test_a_start_of_the_engines_own_is_put_right(
    bench: Bench, api: Any, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await bench.run(await bench.up(bench.target(serialPorts=[PORT])), base.AttachDevices)

    api.restart(target.identity.device_id, timeout=0)

    assert not (await seen(bench, target)).in_order
    await bench.run(target, base.AttachDevices)
    assert inside(api, target, WRITE.format("after")) == ""


async def test_a_device_of_another_runtime_is_refused(
    bench: Bench, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    first = await bench.run(await bench.up(bench.target("plc1", serialPorts=[PORT])), base.AttachDevices)
    assert (await seen(bench, first)).in_order
    second = await bench.run(await bench.up(bench.target("plc2", serialPorts=[PORT])), base.AttachDevices)

    found = await seen(bench, second)

    assert (found.in_order, found.awaits) == (False, reasons.DEVICE_IN_USE)
    assert first.identity.device_id in found.detail
    await bench.down(first)
    await bench.run(second, base.AttachDevices)
    assert (await seen(bench, second)).in_order


async def test_a_container_may_open_serial_devices_and_no_others(bench: Bench, api: Any) -> None:
    target = await bench.up(bench.target(serialPorts=[PORT]))
    program = "import os; os.mknod('/dev/x', 0o20600, os.makedev(10, 1)); os.open('/dev/x', os.O_RDWR)"
    assert "not permitted" in inside(api, target, program)
    assert not api.inspect_container(target.identity.device_id)["HostConfig"]["Privileged"]


async def test_a_kind_of_device_that_the_container_was_not_made_for_is_told(
    bench: Bench, devices: list[SerialDevice]
) -> None:
    target = await bench.up(bench.target(serialPorts=[PORT]))
    devices.append(SerialDevice("usb-plc", "/dev/ttyXRUSB0", 266 << 8, 0o600, 0, 0))
    assert (await seen(bench, target)).awaits == reasons.DEVICES_UNSUPPORTED
    again = await bench.up(bench.target("plc2", serialPorts=[PORT]))
    assert (await seen(bench, again)).awaits == ""
