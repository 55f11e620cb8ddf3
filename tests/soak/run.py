"""One run: residents, then work under kills and faults, then a flood of malformed input, then the judgement."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.soak import faults, hostile, leaks
from tests.soak.faults import Fault
from tests.soak.findings import Findings
from tests.soak.residents import Residents
from tests.soak.site import Site, site
from tests.soak.work import Lane
from tests.support.edge_host import AGENT, eventually

LANES = 3
FAULTY_PART = 0.6  # of the time; the rest is for malformed input
KILL_SECONDS = 1.2  # between SIGKILLs, on average: 1,000 in the faulty part of an hour
MALFORMED_PER_MINUTE = 1700  # messages, and as many bodies: 100,000 in an hour
SETTLE_SECONDS = 15.0


class Settings(NamedTuple):
    """How long, with which seed, which faults, and where the controller logs."""

    minutes: float
    seed: int
    faults: Sequence[Fault]
    log: Path


class Memory(NamedTuple):
    """Resident bytes of the controller after its warm-up and at the end."""

    warm: float
    end: float


async def soak(settings: Settings, findings: Findings) -> Memory:
    """Run; what went wrong is in ``findings``."""
    chance = random.Random(settings.seed)
    seconds = settings.minutes * 60
    async with site(findings, settings.log) as host:
        residents = Residents(host)
        findings.say("residents")
        await residents.create()
        await asyncio.sleep(SETTLE_SECONDS)
        before = await leaks.inventory(host)
        async with _watched(residents):
            findings.say("work under kills and faults")
            await _faulty(host, settings, chance, time.monotonic() + seconds * FAULTY_PART)
            findings.say("malformed input")
            memory = await _malformed(host, int(settings.minutes * MALFORMED_PER_MINUTE), chance)
        findings.say("judgement")
        await asyncio.sleep(SETTLE_SECONDS)
        await residents.judge()
        for fault in leaks.left_behind(before, await leaks.inventory(host)):
            findings.fault(fault)
        return memory


@contextlib.asynccontextmanager
async def _watched(residents: Residents) -> AsyncIterator[None]:
    """Watch the residents meanwhile; a failure of the watch ends the run."""
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(residents.watch())
        yield
        watch.cancel()


async def _faulty(host: Site, settings: Settings, chance: random.Random, until: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(LANES):
            tasks.create_task(Lane(host, number, random.Random(chance.random())).run(until))
        tasks.create_task(faults.inflict(host, tuple(settings.faults), random.Random(chance.random()), until))
        tasks.create_task(faults.kill_again_and_again(host, KILL_SECONDS, random.Random(chance.random()), until))
    await host.cloud.wait_agent(AGENT, timeout=60)


async def _malformed(host: Site, count: int, chance: random.Random) -> Memory:
    """The process is not killed any more, so that its memory, descriptors and threads can be compared."""
    warm_up = count // 5
    await _flood(host, warm_up, chance)
    await Lane(host, 0, chance).run(time.monotonic() + 5)
    await asyncio.sleep(SETTLE_SECONDS)
    pid, warm = host.controller.pid, leaks.weight(host)
    await _flood(host, count - warm_up, chance)
    await Lane(host, 0, chance).run(time.monotonic() + 5)
    await asyncio.sleep(SETTLE_SECONDS)
    end = leaks.weight(host)
    if host.controller.pid != pid:
        host.findings.fault("the controller was replaced during the flood")
    for fault in leaks.grown(warm, end):
        host.findings.fault(fault)
    if end.resident_bytes > warm.resident_bytes * 1.05:
        host.findings.fault(f"memory grew from {warm.resident_bytes / 1e6:.1f} to {end.resident_bytes / 1e6:.1f} MB")
    return Memory(warm.resident_bytes, end.resident_bytes)


async def _flood(host: Site, count: int, chance: random.Random) -> None:
    async def connected() -> bool:
        return host.cloud.agents.session(AGENT) is not None

    await eventually(connected, "the agent is connected")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hostile.messages(host, count, random.Random(chance.random())))
        tasks.create_task(hostile.bodies(host, count, random.Random(chance.random())))
