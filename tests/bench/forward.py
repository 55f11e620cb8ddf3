"""Section ``forward``: ``run_command`` beside a direct request over a fresh TLS connection to the same server."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

from tests.bench import machine, process, rows
from tests.bench.host import FIRST_HOST, Host, host
from tests.bench.rows import Figure, Goal, Reference, Row
from tests.bench.section import Run, say
from tests.support.edge_host import eventually

NAME, PORT = "plc", 8443
BATCHES = 4  # of which the one with the fewest bytes counts: the others include writes that no command caused


class Request(NamedTuple):
    """A request to the runtime."""

    method: str
    path: str


class Forwarding(NamedTuple):
    """Seconds of each request: forwarded, direct, and of a fsync; and the bytes that one forwarded request writes."""

    ours: list[float]
    direct: list[float]
    fsync: list[float]
    written: float


READ = Request("GET", "/api/status")  # in EDGE_RUNTIME_READS
OTHER = Request("POST", "/api/login")


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    async with host(run) as ours:
        await ours.start()
        await ours.create(NAME, FIRST_HOST)
        await ours.edge.wait_running(NAME)
        address = (await ours.edge.runtime(NAME))["status"]["internalIP"]
        say(f"{2 * run.counts.commands} requests, forwarded and direct in turn")
        reading = await _forwarded(ours, address, READ, run.counts.commands)
        limit = 1.2 * rows.median(reading.direct).value + 0.001
        for row in _rows("run_command on a read path", reading, Goal(limit, "1.2 x direct + 1 ms"), Goal(0)):
            yield row
        other = await _forwarded(ours, address, OTHER, run.counts.commands)
        limit = rows.median(other.direct).value + 2 * rows.median(other.fsync).value + 0.004
        goal = Goal(limit, "direct + two fsyncs + 4 ms")
        for row in _rows("any other run_command", other, goal, Goal(8e3)):
            yield row


async def _forwarded(ours: Host, address: str, request: Request, count: int) -> Forwarding:
    await eventually(_answers(ours, request), "the runtime's control server answers", every=0.02)
    found, written = Forwarding([], [], [], 0), []
    for _ in range(BATCHES):
        before = process.written_bytes(ours.process_id)
        for _ in range(count // BATCHES + 1):
            found.direct.append(await _direct(address, request))
            began = time.perf_counter()
            answer = await ours.edge.send("run_command", device_id=NAME, method=request.method, api=request.path)
            found.ours.append(time.perf_counter() - began)
            assert answer["status"] == "success", answer
            found.fsync.append(await asyncio.to_thread(machine.fsync_seconds, ours.edge.state))
        written.append((process.written_bytes(ours.process_id) - before) / (count // BATCHES + 1))
    return found._replace(written=min(written))


def _answers(ours: Host, request: Request) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        answer = await ours.edge.send("run_command", device_id=NAME, method=request.method, api=request.path)
        return bool(answer["status"] == "success")

    return answers


async def _direct(address: str, request: Request) -> float:
    context = ssl._create_unverified_context()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(address, PORT, ssl=context)
    # A server that keeps the connection may hold back the body for 40 ms (Nagle's algorithm and delayed ACKs).
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    seconds = time.perf_counter() - began
    writer.close()
    assert b" 200 " in answer
    return seconds


def _rows(what: str, found: Forwarding, goal: Goal, written: Goal) -> list[Row]:
    fsync = f"fsync {rows.median(found.fsync).show(rows.MILLISECONDS)}"
    direct = Reference("direct", rows.median(found.direct))
    return [
        Row(what, rows.MILLISECONDS, rows.median(found.ours), direct, goal, fsync),
        Row(f"{what}: bytes written", rows.KILOBYTES, Figure(found.written), goal=written),
    ]
