"""Section ``create``: from the cloud's command to a runtime that answers on the LAN, beside raw Docker calls.

Both begin before the first request and end with the first answer to an ARP request from the LAN.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from tests.bench import machine, rows
from tests.bench.bare_client import BareClient, bare_client
from tests.bench.host import FIRST_HOST, Host, host
from tests.bench.lan_answers import INTERVAL_SECONDS, LanAnswers, lan_answers
from tests.bench.raw import RawDocker, raw_docker
from tests.bench.rows import Goal, Reference, Row
from tests.bench.section import Run, say

PROBE_SECONDS = 0.35  # three probes, 0.1 s apart, and the wait for an answer to the last one (decision 081)
ALLOWED_FACTOR = 1.08


class Creation(NamedTuple):
    """Seconds of each round: until the LAN's answer, and of ours until the command's; of a bare client, and a fsync."""

    ours: list[float]
    raw: list[float]
    answered: list[float]
    bare: list[float]
    fsync: list[float]


class Bed(NamedTuple):
    """A host with raw Docker beside it, each with a LAN; and a bare client of its cloud."""

    host: Host
    raw: RawDocker
    bare: BareClient
    ours_on_lan: LanAnswers
    raw_on_lan: LanAnswers


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    async with host(run) as ours, bed_of(ours) as bed:
        await ours.start()
        await creations(bed, 1)  # the controller learns what the host refuses, and imports what it needs
        say(f"{run.counts.rounds} creations by raw Docker and by the controller in turn")
        probing = await creations(bed, run.counts.rounds)
        limit = max(ALLOWED_FACTOR * statistics.median(probing.raw), PROBE_SECONDS) + 0.03
        goal = Goal(limit, f"max({ALLOWED_FACTOR} x raw, probe) + 30 ms")
        yield _row("create command to answering on the LAN", probing, goal)
        fsync = rows.median(probing.fsync)
        yield Row(
            "answer to create_new_runtime",
            rows.MILLISECONDS,
            rows.median(probing.answered),
            Reference("fsync of 4 kB", fsync),
            Goal(fsync.value + 0.003, "one fsync + 3 ms"),
            note=f"a bare Socket.IO client: {rows.MILLISECONDS.show(rows.median(probing.bare).value)}",
        )
        await ours.edge.close()
        ours.edge.environment["EDGE_ADDRESS_PROBE"] = "false"
        await ours.start()
        await creations(bed, 1)
        say("the same without the address probe")
        plain = await creations(bed, run.counts.rounds)
        limit = ALLOWED_FACTOR * statistics.median(plain.raw) + 0.015
        yield _row(
            "create command to answering on the LAN, no address probe",
            plain,
            Goal(limit, f"{ALLOWED_FACTOR} x raw + 15 ms"),
        )


@contextlib.asynccontextmanager
async def bed_of(ours: Host, interval: float = INTERVAL_SECONDS) -> AsyncIterator[Bed]:
    """Put the references beside a host; ``interval`` is that of the ARP requests in seconds."""
    async with contextlib.AsyncExitStack() as stack:
        raw = stack.enter_context(raw_docker(ours.docker))
        bare = await stack.enter_async_context(bare_client(ours.cloud))
        on_lans = [await stack.enter_async_context(lan_answers(lan, interval)) for lan in (ours.lan, raw.lan)]
        yield Bed(ours, raw, bare, *on_lans)


async def creations(bed: Bed, rounds: int, first: int = FIRST_HOST) -> Creation:
    """Create and remove with raw Docker and with the controller in turn, so that both see the same noise."""
    found = Creation([], [], [], [], [])
    for number in range(first, first + rounds):
        found.raw.append(await _raw(bed, f"raw-{number}", number))
        on_lan, answered = await _ours(bed, f"bench-{number}", number)
        found.ours.append(on_lan)
        found.answered.append(answered)
        message = bed.host.edge.message("create_new_runtime", container_name=f"bench-{number}", vnic_configs=[])
        found.bare.append(await bed.bare.answer_seconds("create_new_runtime", message))
        found.fsync.append(await asyncio.to_thread(machine.fsync_seconds, bed.host.edge.state))
    return found


async def _raw(bed: Bed, name: str, number: int) -> float:
    answering = asyncio.create_task(bed.raw_on_lan.first(bed.raw.lan.address(number)))
    began = time.perf_counter()
    await asyncio.to_thread(bed.raw.create, name, number)
    seconds = await answering - began
    await asyncio.to_thread(bed.raw.remove, name)
    return seconds


async def _ours(bed: Bed, name: str, number: int) -> tuple[float, float]:
    answering = asyncio.create_task(bed.ours_on_lan.first(bed.host.lan.address(number)))
    began = time.perf_counter()
    answer = await bed.host.create(name, number)
    answered = time.perf_counter() - began
    assert answer["status"] == "creating", answer
    seconds = await answering - began
    await bed.host.edge.wait_running(name)
    await bed.host.remove(name)
    return seconds, answered


def _row(what: str, found: Creation, goal: Goal) -> Row:
    reference = Reference("raw Docker", rows.median(found.raw))
    ratio = statistics.median(found.ours) / statistics.median(found.raw)
    return Row(what, rows.MILLISECONDS, rows.median(found.ours), reference, goal, note=f"{ratio:.2f} x raw")
