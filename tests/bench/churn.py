"""Section ``churn``: heartbeats, and what is left, while runtimes come and go."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator

from tests.bench import process, rows
from tests.bench.host import Host, host
from tests.bench.rows import Figure, Goal, Row
from tests.bench.section import Run, say
from tests.support.edge_host import AGENT

BEAT_SECONDS = 5.0
AT_ONCE = 4  # concurrent creates and deletes
SETTLE_SECONDS = 5.0  # until the last connections are closed


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    async with host(run) as ours:
        await ours.start()
        say(f"heartbeats over {run.counts.heartbeat_seconds:g} s")
        yield deviation("heartbeats under load: off 5 s by at most", await _gaps(ours, run.counts.heartbeat_seconds))
        say(f"{run.counts.cycles} creates and deletes")
        for what, more in (await _leaks(ours, run.counts.cycles)).items():
            left = f"{what} left after {run.counts.cycles} creates and deletes"
            yield Row(left, rows.COUNT, Figure(more), goal=_allowed(what, run.counts.cycles))


def _allowed(what: str, cycles: int) -> Goal:
    # Pools of threads and connections fill while they are used; a leak would grow with the cycles.
    return Goal(cycles / 10, "one in ten cycles") if what in {"descriptors", "threads"} else Goal(0)


def deviation(what: str, gaps: list[float]) -> Row:
    """How far the gaps between heartbeats are off their interval at most."""
    off = Figure(max(abs(gap - BEAT_SECONDS) for gap in gaps))
    return Row(what, rows.MILLISECONDS, off, goal=Goal(0.1), note=f"n {len(gaps)}")


def gaps_since(host: Host, began: float) -> list[float]:
    """Seconds between the heartbeats that the cloud received since this Unix time."""
    arrivals = [beat.received for beat in host.cloud.received(AGENT) if beat.received >= began]
    return [later - earlier for earlier, later in itertools.pairwise(arrivals)]


async def _gaps(host: Host, seconds: float) -> list[float]:
    began = time.time()
    for number in itertools.count():
        if time.time() > began + seconds:
            break
        await _cycle(host, f"busy-{number}", 100)
    return gaps_since(host, began)


async def _cycle(host: Host, name: str, number: int) -> None:
    await host.create(name, number)
    await host.edge.wait_running(name)
    await host.remove(name)


async def _leaks(host: Host, cycles: int) -> dict[str, int]:
    """How many more of each there are after many creates and deletes."""
    await asyncio.gather(*(_cycle(host, f"warm-{n}", 120 + n) for n in range(AT_ONCE)))
    before = await _count(host)

    async def worker(lane: int) -> None:
        for number in range(cycles // AT_ONCE):
            await _cycle(host, f"cycle-{lane}-{number}", 120 + lane)

    await asyncio.gather(*(worker(lane) for lane in range(AT_ONCE)))
    await asyncio.sleep(SETTLE_SECONDS)
    after = await _count(host)
    return {what: after[what] - before[what] for what in after}


async def _count(host: Host) -> dict[str, int]:
    used = process.usage(host.process_id)
    return {
        "containers": len(await asyncio.to_thread(host.docker.containers, all=True)),
        "networks": len(await asyncio.to_thread(host.docker.networks)),
        "descriptors": used.descriptors,
        "threads": used.threads,
    }
