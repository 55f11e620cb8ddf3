"""Measures how long after the return of a parent interface all its runtimes answer on the LAN."""

from __future__ import annotations

import asyncio
import time

from tests.bench import measures
from tests.support.edge_host import EdgeHost
from tests.support.lan import Lan

GIVE_UP_SECONDS = 120.0

Row = tuple[str, str, str]


async def parent_return(edge: EdgeHost, lan: Lan, count: int) -> list[Row]:
    """Start ``count`` runtimes, unplug their parent like a USB adapter, plug it in again, and time the last answer."""
    await measures.populate(edge, lan, count)
    addresses = [lan.address(measures.FIRST_HOST + number) for number in range(count)]
    await _answers(lan, addresses)
    await asyncio.to_thread(lan.unplug)
    for number in range(count):
        await edge.wait_condition(f"plc-{number}", "Ready=False", seconds=120)
    await asyncio.to_thread(lan.plug)
    seconds = await _answers(lan, addresses)
    return [(f"parent back to {count} runtimes answering", "<= 5 s", f"{seconds:.2f} s")]


async def _answers(lan: Lan, addresses: list[str]) -> float:
    """Seconds until every address answered."""
    began = time.monotonic()
    silent = list(addresses)
    while silent:
        if time.monotonic() - began > GIVE_UP_SECONDS:
            raise AssertionError(f"{len(silent)} of {len(addresses)} never answered: {silent[:3]}")
        answered = await asyncio.to_thread(lan.mac_of, silent[0], seconds=1)
        silent = silent[1:] if answered else silent
    return time.monotonic() - began
