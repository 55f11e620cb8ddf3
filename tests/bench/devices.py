"""Section ``devices``: from plugging in a serial device to its node in the running container."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from controller.container_root import Process
from controller.devices import nodes
from tests.bench import rows
from tests.bench.host import host
from tests.bench.rows import Goal, Row
from tests.bench.section import Run
from tests.support import serial_port
from tests.support.edge_host import eventually

_PORT = {"name": "line", "device_id": "usb-bench", "container_path": "/dev/line0"}
_FIRST = 188 << 8  # ttyUSB0, which is never opened


async def measure(run: Run) -> AsyncGenerator[Row]:
    """Plug in and unplug under another number in each round; the controller watches folders that play /dev and /sys."""
    async with host(run) as ours:
        devices = serial_port.Host(ours.folder / "host")
        ours.edge.environment |= {"EDGE_DEV_DIR": str(devices.roots.dev), "EDGE_SYS_DIR": str(devices.roots.sys)}
        await ours.start()
        name, address = "plugged", f"{ours.lan.address(251)}/24"
        await ours.edge.create(name, ours.lan.parent, address, serial_configs=[_PORT])
        await ours.edge.wait_running(name)
        found = await asyncio.to_thread(ours.docker.inspect_container, name)
        process = Process(found["State"]["Pid"], found["Id"])
        seconds = [await _replug(devices, process, number) for number in range(run.counts.rounds)]
        taken = rows.median(seconds)
        yield Row("device plugged in to usable in the container", rows.SECONDS, taken, goal=Goal(2.0))


async def _replug(devices: serial_port.Host, process: Process, number: int) -> float:
    began = time.perf_counter()
    await asyncio.to_thread(devices.plug, f"ttyUSB{number}", _FIRST + number, by_id="usb-bench")
    await eventually(_find_node(process, _FIRST + number), "the node is placed", every=0.01)
    seconds = time.perf_counter() - began
    await asyncio.to_thread(devices.unplug, f"ttyUSB{number}")
    await eventually(_find_node(process, None), "the node is removed", every=0.01)
    return seconds


def _find_node(process: Process, number: int | None) -> Callable[[], Awaitable[bool]]:
    async def find_node() -> bool:
        return await asyncio.to_thread(nodes.find_node, process, "/dev/line0") == number

    return find_node
