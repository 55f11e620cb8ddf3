"""Measures the time from plugging in a serial device to its node in the running container."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable

from controller.container_root import Process
from controller.devices import nodes
from tests.bench import measures
from tests.support.dockerd import Engine
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan
from tests.support.serial_port import Host

_PORT = {"name": "line", "device_id": "usb-bench", "container_path": "/dev/line0"}
_FIRST = 188 << 8  # ttyUSB0, which is never opened

Row = tuple[str, str, str]


async def replug(edge: EdgeHost, lan: Lan, engine: Engine, host: Host, rounds: int) -> list[Row]:
    """Plug in and unplug under another number in each round; the controller watches ``host``."""
    name = "plugged"
    await edge.create(name, lan.parent, f"{lan.address(251)}/24", serial_configs=[_PORT])
    await edge.wait_running(name)
    with contextlib.closing(engine.client()) as client:
        found = client.api.inspect_container(name)
        process = Process(found["State"]["Pid"], found["Id"])
    seconds = []
    for number in range(rounds):
        began = time.perf_counter()
        await asyncio.to_thread(host.plug, f"ttyUSB{number}", _FIRST + number, by_id="usb-bench")
        await eventually(_find_node(process, _FIRST + number), "the node is placed", every=0.01)
        seconds.append(time.perf_counter() - began)
        await asyncio.to_thread(host.unplug, f"ttyUSB{number}")
        await eventually(_find_node(process, None), "the node is removed", every=0.01)
    await measures.remove(edge, name)
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    shown = f"{middle:.2f} s (min {low:.2f}, max {high:.2f}, n {len(seconds)})"
    return [("device plugged in to usable in the container", "<= 2 s", shown)]


def _find_node(process: Process, number: int | None) -> Callable[[], Awaitable[bool]]:
    async def find_node() -> bool:
        return await asyncio.to_thread(nodes.find_node, process, "/dev/line0") == number

    return find_node
