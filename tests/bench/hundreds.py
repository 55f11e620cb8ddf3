"""Section ``hundreds``: heartbeats and creations on a host with hundreds of runtimes."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator

from tests.bench import rows
from tests.bench.churn import deviation, gaps_since
from tests.bench.create import ALLOWED_FACTOR, PROBE_SECONDS, bed_of, creations
from tests.bench.host import FIRST_HOST, host
from tests.bench.rows import Goal, Reference, Row
from tests.bench.section import Run, say

POLL_SECONDS = 0.005  # every ARP request reaches all runtimes


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    count = run.counts.hundreds
    async with host(run) as ours, bed_of(ours, POLL_SECONDS) as bed:
        await ours.start()
        say(f"{count} runtimes")
        began = time.time()
        await ours.populate(count)
        yield deviation(f"heartbeats while {count} runtimes start: off 5 s by at most", gaps_since(ours, began))
        began = time.time()
        await asyncio.sleep(run.counts.heartbeat_seconds)
        yield deviation(f"heartbeats with {count} runtimes: off 5 s by at most", gaps_since(ours, began))
        found = await creations(bed, run.counts.rounds // 3 + 1, FIRST_HOST + count)
        limit = max(ALLOWED_FACTOR * statistics.median(found.raw), PROBE_SECONDS) + 0.06
        yield Row(
            f"create beside {count} runtimes to answering on the LAN",
            rows.MILLISECONDS,
            rows.median(found.ours),
            Reference("raw Docker", rows.median(found.raw)),
            Goal(limit, f"max({ALLOWED_FACTOR} x raw, probe) + 30 + 30 ms"),
        )
