"""Section ``slow``: the controller on a quarter of a core with fsyncs of 20 ms, beside the figures of this run without.

Only the controller is slow: engine, runtimes and cloud keep the machine, so that the difference is ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tests.bench import create, forward, idle, lifecycle, rows, slow_box, start
from tests.bench.counts import Counts
from tests.bench.rows import Reference, Row
from tests.bench.section import Run

CORES, FSYNC_MILLISECONDS = 0.25, 20
MEASURES = (create.measure, lifecycle.measure, forward.measure, idle.static, start.measure)


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    if not slow_box.available():
        yield rows.unmeasured("slow box", "it needs cc (apt-get install gcc libc6-dev) and the cgroup controller cpu")
        return
    with slow_box.slow_box(CORES, FSYNC_MILLISECONDS) as wrapper:
        slowly = dataclasses.replace(run, wrapper=wrapper, counts=_fewer(run))
        for each in MEASURES:
            async with aclosing(each(slowly)) as measuring:
                async for row in measuring:
                    yield _beside(run, row)


def _fewer(run: Run) -> Counts:
    counts = run.counts
    return dataclasses.replace(
        counts,
        rounds=min(counts.rounds, 5),
        commands=min(counts.commands, 20),
        starts=min(counts.starts, 3),
        idle_seconds=min(counts.idle_seconds, 60),  # one resync is in each minute
    )


def _beside(run: Run, row: Row) -> Row:
    """The row beside the same one of the normal box, without a goal."""
    normal = run.measured.get(row.what)
    slow = dataclasses.replace(row, what=f"slow box: {row.what}", reference=None, goal=None, note="")
    if row.ours is None or normal is None or not normal.ours:
        return slow
    growth = f"{row.ours.value / normal.ours.value:.1f} x" if normal.ours.value else ""
    return dataclasses.replace(slow, reference=Reference("normal", normal.ours), note=growth)
