"""The measurements of ``make bench``. They return plain figures and print nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import Any, NamedTuple

from tests.bench import process
from tests.bench.raw import RawDocker
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost
from tests.support.lan import Lan

FIRST_HOST = 40  # host number of the first runtime that populate() creates
AT_ONCE = 4  # concurrent creates and deletes in the leak check


class Creation(NamedTuple):
    """Seconds of each round."""

    ours: list[float]
    raw: list[float]
    answers: list[float]


class Idle(NamedTuple):
    """The resources that an idle controller uses."""

    resident_mib: float
    cpu_percent: float


async def creation(edge: EdgeHost, lan: Lan, engine: Engine, rounds: int) -> Creation:
    """Create with raw Docker and with the controller in turn, so that both see the same noise."""
    figures = Creation([], [], [])
    repository, version = edge.environment["EDGE_RUNTIME_IMAGE"], edge.environment["EDGE_RUNTIME_VERSION"]
    with Lan() as raw_lan, contextlib.closing(engine.client()) as client:
        raw = RawDocker(client.api, f"{repository}:{version}", raw_lan.parent, str(raw_lan.subnet))
        try:
            for number in range(rounds):
                name, address = f"raw-{number}", raw_lan.address(10 + number)
                figures.raw.append(await asyncio.to_thread(raw.create, name, address, number))
                await asyncio.to_thread(raw.remove, name)
                answered, ran = await _create_timed(edge, lan, client.api, number)
                figures.answers.append(answered)
                figures.ours.append(ran)
        finally:
            await asyncio.to_thread(raw.close)
    return figures


async def _create_timed(edge: EdgeHost, lan: Lan, client: Any, number: int) -> tuple[float, float]:
    name = f"bench-{number}"
    events = client.events(decode=True, filters={"type": "container", "event": "start"})
    started = asyncio.create_task(asyncio.to_thread(next, events))
    await asyncio.sleep(0.05)  # the stream must be open before the command
    began = time.time()
    await edge.create(name, lan.parent, f"{lan.address(10 + number)}/24")
    answered = time.time() - began
    event = await asyncio.wait_for(started, 30)
    await asyncio.to_thread(events.close)
    await edge.wait_running(name)
    await remove(edge, name)
    return answered, event["timeNano"] / 1e9 - began


async def remove(edge: EdgeHost, name: str) -> None:
    """Delete one runtime and wait until it is gone."""
    await edge.send("delete_device", device_id=name)
    await edge.wait_gone(name)


async def populate(edge: EdgeHost, lan: Lan, count: int) -> None:
    """Start ``count`` runtimes."""
    names = [f"plc-{number}" for number in range(count)]
    for number, name in enumerate(names):
        await edge.create(name, lan.parent, f"{lan.address(FIRST_HOST + number)}/24")
    for name in names:
        await edge.wait_running(name, seconds=120)


async def idle(edge: EdgeHost, seconds: float) -> Idle:
    """Memory and CPU without any load."""
    assert edge.process is not None
    await asyncio.sleep(10)  # reconciliations after the creates are still running
    cpu = await process.cpu_percent(edge.process.pid, seconds)
    return Idle(process.resident_mib(edge.process.pid), cpu)


async def heartbeat_gaps(edge: EdgeHost, lan: Lan, seconds: float) -> list[float]:
    """Seconds between heartbeats as the cloud received them, while runtimes are created and deleted."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    began = time.time()
    for number in itertools.count():
        if loop.time() > deadline:
            break
        await _cycle(edge, lan, f"busy-{number}", 100)
    arrivals = [beat.received for beat in edge.cloud.received(AGENT) if beat.received >= began]
    return [later - earlier for earlier, later in itertools.pairwise(arrivals)]


async def _cycle(edge: EdgeHost, lan: Lan, name: str, number: int) -> None:
    await edge.create(name, lan.parent, f"{lan.address(number)}/24")
    await edge.wait_running(name)
    await remove(edge, name)


async def leaks(edge: EdgeHost, lan: Lan, engine: Engine, cycles: int) -> str:
    """The containers, networks, descriptors and threads that leak in many creates and deletes."""
    assert edge.process is not None
    with contextlib.closing(engine.client()) as client:
        await asyncio.gather(*(_cycle(edge, lan, f"warm-{n}", 120 + n) for n in range(AT_ONCE)))
        before = await _count(client.api), process.usage(edge.process.pid)

        async def worker(lane: int) -> None:
            for number in range(cycles // AT_ONCE):
                await _cycle(edge, lan, f"cycle-{lane}-{number}", 120 + lane)

        await asyncio.gather(*(worker(lane) for lane in range(AT_ONCE)))
        await asyncio.sleep(5)  # until the last connections are closed
        after = await _count(client.api), process.usage(edge.process.pid)
    return (
        f"containers {after[0][0] - before[0][0]:+d}, networks {after[0][1] - before[0][1]:+d}, "
        f"descriptors {after[1].descriptors - before[1].descriptors:+d}, "
        f"threads {after[1].threads - before[1].threads:+d}"
    )


async def _count(client: Any) -> tuple[int, int]:
    containers = await asyncio.to_thread(client.containers, all=True)
    networks = await asyncio.to_thread(client.networks)
    return len(containers), len(networks)
