"""Observes from the LAN when an address first answers, with ARP requests every few milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable

from tests.support.lan import INSIDE, Lan

INTERVAL_SECONDS = 0.002
GIVE_UP_SECONDS = 180.0


class LanAnswers:
    """Asks for one address at a time, in the LAN's network namespace."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def first(self, address: str) -> float:
        """When the address answered first, as time.perf_counter() counts. Raises TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{address}\n".encode())
        async with asyncio.timeout(GIVE_UP_SECONDS):
            return float(await self._process.stdout.readline())

    async def all(self, addresses: Iterable[str]) -> float:
        """When the last of the addresses had answered."""
        return max([await self.first(address) for address in addresses])


@contextlib.asynccontextmanager
async def lan_answers(lan: Lan, interval: float = INTERVAL_SECONDS) -> AsyncIterator[LanAnswers]:
    """Observe this LAN."""
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--net=/run/netns/{lan.namespace}", "setpriv", "--pdeathsig", "KILL"),
        *(sys.executable, "-m", "tests.bench.arp_poll", INSIDE, lan.gateway, str(interval)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield LanAnswers(process)
    finally:
        process.kill()
        await process.wait()
