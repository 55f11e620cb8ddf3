"""Section ``lifecycle``: stop, start and restart until they are answered, beside the raw Docker call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from tests.bench import rows
from tests.bench.create import PROBE_SECONDS
from tests.bench.host import FIRST_HOST, Host, host
from tests.bench.raw import RawDocker, raw_docker
from tests.bench.rows import Goal, Reference, Row
from tests.bench.section import Run, say

NAME = "plc"
ALLOWED_SECONDS = 0.015
SETTLE_SECONDS = 0.5  # until the program handles SIGTERM; before that, a stop takes the whole grace period
PROBED = {"start"}  # what the address is probed before


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    async with host(run) as ours:
        with raw_docker(ours.docker) as raw:
            await ours.start()
            await ours.create(NAME, FIRST_HOST)
            await ours.edge.wait_running(NAME)
            await asyncio.to_thread(raw.create, f"raw-{NAME}", FIRST_HOST)
            say(f"{run.counts.rounds} stops, starts and restarts by raw Docker and by the controller in turn")
            found = [await _round(ours, raw) for _ in range(run.counts.rounds)]
            await asyncio.to_thread(raw.remove, f"raw-{NAME}")
        for what in found[0]:
            yield _row(what, [one[what] for one in found])


async def _round(ours: Host, raw: RawDocker) -> dict[str, tuple[float, float]]:
    """Seconds of ours and of raw Docker, by command."""
    calls = {"stop": raw.stop, "start": raw.start, "restart": raw.restart}
    found = {}
    for what, call in calls.items():
        await asyncio.sleep(SETTLE_SECONDS)
        began = time.perf_counter()
        await asyncio.to_thread(call, f"raw-{NAME}")
        middle = time.perf_counter()
        answer = await ours.edge.send(f"{what}_device", device_id=NAME)
        found[what] = time.perf_counter() - middle, middle - began
        assert answer["status"] == "success", answer
    return found


def _row(what: str, seconds: list[tuple[float, float]]) -> Row:
    ours, raw = (rows.median([pair[place] for pair in seconds]) for place in (0, 1))
    probe, named = (PROBE_SECONDS, "raw + probe") if what in PROBED else (0.0, "raw")
    goal = Goal(raw.value + probe + ALLOWED_SECONDS, f"{named} + 15 ms")
    return Row(f"{what}_device answered", rows.MILLISECONDS, ours, Reference(f"docker {what}", raw), goal)
