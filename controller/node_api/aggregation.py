"""Aggregates facts and usage of several nodes for a cloud that sees one agent. No I/O.

Memory, disk and cores are summed, CPU percentages are weighted by cores, uptime is the longest of all hosts.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from controller import errors
from controller.metrics.host import HostReading
from controller.node_api.node import HostFacts, Point, Reading, Usage

T = TypeVar("T")

log = logging.getLogger(__name__)

STALE_SECONDS = 120  # a sample counts for a time at most this far away; old samples are thinned out to this and more


async def gather_answers(queries: Iterable[Awaitable[T]]) -> list[T]:
    """Await all queries and return the successful answers. Raises the first failure if every query fails."""
    # One host that fails, however it does, must not discard the answers of the others.
    found = await asyncio.gather(*queries, return_exceptions=True)
    failures = [answer for answer in found if isinstance(answer, BaseException)]
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure
        if not isinstance(failure, errors.EdgeError):
            log.error("Querying a node failed unexpectedly", exc_info=failure)
    if failures and len(failures) == len(found):
        raise failures[0]
    return [answer for answer in found if not isinstance(answer, BaseException)]


def reading(readings: Sequence[Reading]) -> Reading:
    """Combine the readings of all hosts; zeros if there is none."""
    cores = sum(one.cpu_count for one in readings)
    hosts = [one.host for one in readings]
    whole = HostReading(
        cpu_percent=sum(one.host.cpu_percent * one.cpu_count for one in readings) / max(cores, 1),
        memory_used=sum(host.memory_used for host in hosts),
        memory_total=sum(host.memory_total for host in hosts),
        disk_used=sum(host.disk_used for host in hosts),
        disk_total=sum(host.disk_total for host in hosts),
        uptime=max((host.uptime for host in hosts), default=0),
    )
    return Reading(whole, cores)


def facts(found: Sequence[HostFacts]) -> HostFacts:
    """Combine the facts of all hosts; different systems and kernels are listed."""
    return HostFacts(
        os=", ".join(dict.fromkeys(one.os for one in found)),
        kernel=", ".join(dict.fromkeys(one.kernel for one in found)),
        cpu_count=sum(one.cpu_count for one in found),
        memory_total=sum(one.memory_total for one in found),
        disk_total=sum(one.disk_total for one in found),
        addresses=[address for one in found for address in one.addresses],
    )


def usage(found: Sequence[tuple[int, Usage]]) -> Usage:
    """Combine the usage curves of all hosts, given as (cores, usage)."""
    cores = sum(count for count, _ in found) or 1
    return Usage(
        cpu=_sum([(count / cores, one.cpu) for count, one in found]),
        memory=_sum([(1.0, one.memory) for _, one in found]),
    )


def _sum(curves: Sequence[tuple[float, Sequence[Point]]]) -> list[Point]:
    """The weighted sum, sampled at the times of the curve with the most points."""
    if len(curves) == 1 and curves[0][0] == 1.0:
        return list(curves[0][1])
    times = max(([point.timestamp for point in points] for _, points in curves), key=len, default=[])
    stamps = [[point.timestamp for point in points] for _, points in curves]
    return [
        Point(time, sum(weight * _at(points, own, time) for (weight, points), own in zip(curves, stamps, strict=True)))
        for time in times
    ]


def _at(points: Sequence[Point], stamps: Sequence[int], time: int) -> float:
    """The value of the sample nearest to a time; 0 if none is within STALE_SECONDS."""
    position = bisect_right(stamps, time)
    near = min(points[max(0, position - 1) : position + 1], key=lambda point: abs(point.timestamp - time), default=None)
    return near.value if near is not None and abs(near.timestamp - time) <= STALE_SECONDS else 0.0
